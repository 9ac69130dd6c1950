//! Who may reach what: a row for each capability, a column for each origin and each directory.
//!
//! A screen has room for about thirty columns. Where a workspace has more places, the commonest are columns, and a
//! capability's other ones are named in the last cell of its row: none is left out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use maud::{Markup, html};
use ops_policy::manifest::RuleEffect;
use ops_policy::visible::visible;
use ops_runner::audit::{Audit, Page, RightKind, RightRow};

use super::anchor;

/// The places that have columns of their own.
const COLUMNS: usize = 30;

/// The columns for which a sheet of paper as it is commonly used has room.
const PAPER: usize = 8;

/// A place that a capability may reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Origin(String),
    Directory(String),
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Origin(name) | Self::Directory(name) => name,
        }
    }
}

/// What a capability may do at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    effect: RuleEffect,
    /// Whether runs used it; none where receipts do not say.
    used: Option<bool>,
}

impl Reach {
    fn with(self, other: Self) -> Self {
        let used = match (self.used, other.used) {
            (Some(one), Some(two)) => Some(one || two),
            (one, two) => one.or(two),
        };
        Self { effect: self.effect.max(other.effect), used }
    }

    /// The word, which says more of a directory: what is changed there is staged.
    fn word(self, place: &Place) -> &'static str {
        match (place, self.effect) {
            (_, RuleEffect::Read) => "read",
            (Place::Directory(_), _) => "stage",
            (Place::Origin(_), RuleEffect::Mutate) => "change",
            (Place::Origin(_), RuleEffect::Destroy) => "destroy",
        }
    }
}

/// The section.
pub(super) fn section(audit: &Audit) -> Markup {
    let rows: Vec<_> = audit.capabilities.iter().map(reaches).collect();
    let mut often: BTreeMap<&Place, usize> = BTreeMap::new();
    for place in rows.iter().flat_map(BTreeMap::keys) {
        *often.entry(place).or_default() += 1;
    }
    let mut columns: Vec<&Place> = often.keys().copied().collect();
    columns.sort_by_key(|place| (often.get(place).map(|number| Reverse(*number)), *place));
    columns.truncate(COLUMNS);
    let more = often.len() > columns.len();
    html! {
        section id="permissions" aria-labelledby="permissions-title" {
            h2 id="permissions-title" { "Who may reach what" }
            @if columns.is_empty() {
                p.none { "No binding here grants a service or a directory." }
            } @else {
                p.legend {
                    span class="tag read" { "read" } " "
                    span class="tag change" { "change" } " or " span class="tag change" { "stage" } " "
                    span class="tag destroy" { "destroy" }
                    " is the most that a binding grants there. "
                    span class="tag read unused" { "read" } " in a dashed frame was not used in the runs that were looked at."
                }
                div.scroll.tall role="region" aria-label="Permissions, a wide table" tabindex="0" {
                    table.matrix.wide[columns.len() > PAPER] {
                        caption {
                            (super::count(audit.capabilities.len(), "capability")) " and what each may reach."
                            @if more { " The commonest " (columns.len()) " of " (often.len()) " places have a column." }
                        }
                        thead {
                            tr {
                                th scope="col" { "Capability" }
                                @for place in &columns {
                                    th.place scope="col" {
                                        span {
                                            @if matches!(place, Place::Directory(_)) { "directory " }
                                            (visible(place.name()))
                                        }
                                    }
                                }
                                @if more { th scope="col" { "Others" } }
                            }
                        }
                        tbody {
                            @for (number, (page, reaches)) in audit.capabilities.iter().zip(&rows).enumerate() {
                                tr {
                                    th scope="row" { a href={ "#" (anchor(number, &page.capability)) } { (visible(&page.capability)) } }
                                    @for place in &columns {
                                        td { @if let Some(reach) = reaches.get(place) { (cell(place, *reach)) } }
                                    }
                                    @if more { td.others { (others(reaches, &columns)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(place: &Place, reach: Reach) -> Markup {
    let word = reach.word(place);
    let class = if word == "stage" { "change" } else { word };
    html! {
        @if reach.used == Some(false) {
            span class={ "tag " (class) " unused" } { (word) i { ", not used" } }
        } @else {
            span class={ "tag " (class) } { (word) }
        }
    }
}

fn others(reaches: &BTreeMap<Place, Reach>, columns: &[&Place]) -> Markup {
    html! {
        @for (place, reach) in reaches.iter().filter(|(place, _)| !columns.contains(place)) {
            div { (visible(place.name())) " " (cell(place, *reach)) }
        }
    }
}

/// What one capability may reach, and how far.
fn reaches(page: &Page) -> BTreeMap<Place, Reach> {
    let mut reaches: BTreeMap<Place, Reach> = BTreeMap::new();
    for row in page.rights.iter().filter(|row| row.granted) {
        let (Some(place), Some(effect)) = (place(page, row), row.effect) else { continue };
        let reach = Reach { effect, used: row.used.map(|runs| runs > 0).filter(|_| page.looked_at > 0) };
        reaches.entry(place).and_modify(|known| *known = known.with(reach)).or_insert(reach);
    }
    reaches
}

fn place(page: &Page, row: &RightRow) -> Option<Place> {
    match row.kind {
        RightKind::Request => {
            let service = page.services.iter().find(|service| Some(&service.name) == row.of.as_ref())?;
            Some(Place::Origin(service.place.clone()))
        }
        RightKind::Directory => Some(Place::Directory(directory(row))),
        _ => None,
    }
}

/// Where the directory is: what stands behind `at` in `directory outbox at state/outbox (stage)`.
fn directory(row: &RightRow) -> String {
    let whole = row.right.rsplit_once(" (").map_or(row.right.as_str(), |(before, _)| before);
    whole.split_once(" at ").map_or(whole, |(_, path)| path).to_owned()
}
