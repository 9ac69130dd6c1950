//! Listing handoffs, natively, in a scripted world.

use ops_guest::testing::World;
use records_handoff_list::CAPABILITY;
use serde_json::json;

fn file(id: &str, expires: &str) -> (String, String) {
    let text = format!(
        "version: 1\nid: {id}\nsummary: of {id}\ncreated_at: 2026-11-20T09:00:00Z\nexpires_at: {expires}\nloops: [LOOP-A, LOOP-B]\n"
    );
    (format!("{id}.yaml"), text)
}

#[test]
fn the_newest_comes_first_and_old_ones_when_asked_for() {
    let files = [
        file("HO-20261119-090000-00000001", "2026-11-22T09:00:00Z"),
        file("HO-20261120-090000-00000002", "2026-11-23T09:00:00Z"),
        file("HO-20261121-090000-00000003", "2026-11-24T09:00:00Z"),
    ];
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("README.md", "# Handoffs\n"));
    let mut world = World::new(&CAPABILITY).directory("handoffs", &files);
    let ran = world.plan(json!({}));
    assert_eq!(ran.output()["active"], 2);
    assert_eq!(
        ran.output()["handoffs"][0],
        json!({"id": "HO-20261121-090000-00000003", "active": true, "expires_at": "2026-11-24T09:00:00Z",
            "summary": "of HO-20261121-090000-00000003", "loops": "LOOP-A, LOOP-B"})
    );
    for (arguments, count) in [(json!({}), 2), (json!({"all": true}), 3), (json!({"all": true, "top": 1}), 1)]
    {
        assert_eq!(world.plan(arguments).output()["handoffs"].as_array().unwrap().len(), count);
    }
}
