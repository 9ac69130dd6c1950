use super::*;

const SCHEMA: &str = include_str!("../../../../docs/schemas/run-receipt-v1.schema.json");

fn errors(receipt: &serde_json::Value) -> Vec<String> {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(receipt).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn receipts_fit_the_schema() {
    for receipt in [sample::applied(), sample::refused(), sample::hostile()] {
        let json = serde_json::to_value(&receipt).unwrap();
        assert_eq!(errors(&json), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<Receipt>(json).unwrap(), receipt);
    }
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let good = serde_json::to_value(sample::applied()).unwrap();
    let cases = [
        ("/run/status", serde_json::json!("fine")),
        ("/run/mode", serde_json::json!("write")),
        ("/run/exitCode", serde_json::json!(256)),
        ("/run/startedOn", serde_json::json!("2026-11-22 01:44")),
        ("/usage/wallMs", serde_json::json!(1.5)),
        ("/usage/wallMs", serde_json::json!(9_007_199_254_740_992_u64)),
        ("/definition/manifest", serde_json::json!("ba78")),
        ("/host", serde_json::json!({})),
        ("/effects/0/undo/kind", serde_json::json!("perhaps")),
        ("/approval/approvers/0/touch", serde_json::json!("yes")),
    ];
    for (pointer, value) in cases {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(!errors(&bad).is_empty(), "the schema takes {pointer}");
        assert!(serde_json::from_value::<Receipt>(bad).is_err(), "the types take {pointer}");
    }
}

/// Every object, at every depth, refuses a field that it does not know.
#[test]
fn no_object_takes_an_unknown_field() {
    let good = serde_json::to_value(sample::applied()).unwrap();
    let mut pointers = Vec::new();
    objects(&good, String::new(), &mut pointers);
    assert!(pointers.len() > 20, "{pointers:?}");
    for pointer in pointers {
        let mut bad = good.clone();
        bad.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().insert("more".into(), 1.into());
        assert!(!errors(&bad).is_empty(), "the schema takes a field more at {pointer:?}");
        assert!(serde_json::from_value::<Receipt>(bad).is_err(), "the types take one at {pointer:?}");
    }
}

fn objects(value: &serde_json::Value, at: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| objects(value, format!("{at}/{name}"), found));
            found.push(at);
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| objects(value, format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

#[test]
fn words_are_those_of_the_json() {
    for status in Status::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.word());
    }
}
