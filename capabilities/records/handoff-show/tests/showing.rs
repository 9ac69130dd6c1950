//! Showing a handoff, natively, in a scripted world.

use ops_guest::testing::World;
use records_handoff_show::CAPABILITY;
use serde_json::json;

const ID: &str = "HO-20261121-090000-0a1b2c3d";
const TEXT: &str = "version: 1\nid: HO-20261121-090000-0a1b2c3d\nsummary: checkpoint\ncreated_at: 2026-11-21T09:00:00Z\n\
                    expires_at: 2026-11-24T09:00:00Z\nloops: [LOOP-A]\nto_role: worker\n";

#[test]
fn a_handoff_is_shown() {
    let mut world = World::new(&CAPABILITY).directory("handoffs", &[(&format!("{ID}.yaml"), TEXT)]);
    assert_eq!(
        world.plan(json!({"id": ID})).output(),
        &json!({"id": ID, "active": true, "summary": "checkpoint", "created_at": "2026-11-21T09:00:00Z",
            "expires_at": "2026-11-24T09:00:00Z", "loops": ["LOOP-A"], "actions": [], "to_role": "worker",
            "file": format!("handoffs/{ID}.yaml")})
    );
    assert!(world.plan(json!({"id": "HO-1"})).failure().why().contains("there is no handoff \"HO-1\""));

    let broken = TEXT.replace("2026-11-24T09:00:00Z", "soon");
    let mut world = World::new(&CAPABILITY).directory("handoffs", &[(&format!("{ID}.yaml"), &broken)]);
    let why = world.plan(json!({"id": ID})).failure().why();
    assert!(why.starts_with(&format!("handoffs/{ID}.yaml:1: its times are not in UTC")), "{why}");
}
