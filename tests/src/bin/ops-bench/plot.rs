//! A chart as SVG: costs in parts of what they were at the first number, so that lines of different units stand in one
//! chart, and flat is flat.

use std::path::Path;

use plotters::prelude::*;

use crate::amount::short;
use crate::growth::Chart;

const SIZE: (u32, u32) = (720, 400);

/// Colours that people with any kind of sight can tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Draws a chart into a file.
pub(crate) fn draw(chart: &Chart, file: &Path) {
    let parts = |costs: &[f64]| costs.iter().map(|cost| cost / costs[0]).collect::<Vec<_>>();
    let highest = chart.lines.iter().flat_map(|line| parts(&line.costs)).fold(2.0, f64::max);
    let (first, last) = (chart.numbers[0] as f64, chart.numbers[chart.numbers.len() - 1] as f64);

    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let mut plot = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((first..last).log_scale(), 0.0..highest * 1.1)
        .unwrap();
    plot.configure_mesh()
        .x_desc(chart.of)
        .y_desc("cost, first = 1")
        .x_label_formatter(&|number| format!("{number:.0}"))
        .light_line_style(WHITE)
        .draw()
        .unwrap();
    for (line, colour) in chart.lines.iter().zip(COLOURS.into_iter().cycle()) {
        let points: Vec<_> =
            chart.numbers.iter().map(|number| *number as f64).zip(parts(&line.costs)).collect();
        let name = format!("{}, {} {} at first", line.what, short(line.costs[0]), line.unit);
        plot.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))
            .unwrap()
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        plot.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled()))).unwrap();
    }
    plot.configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()
        .unwrap();
    area.present().unwrap();
}
