//! Whether a value is right by a schema, said only where that is plain: `true` is certain, `false` says nothing.
//!
//! It knows the keywords that nearly all capabilities have, and of these only the forms on which no two readers of JSON
//! Schema (draft 2020-12) can differ. A keyword, or a form of one, that is not listed here makes the answer `false`.

use serde_json::{Map, Value};

/// How deep it looks.
const DEEPEST: u8 = 16;

/// Whether the value is plainly right.
pub(super) fn is_valid(schema: &Value, value: &Value) -> bool {
    holds(schema, value, DEEPEST)
}

fn holds(schema: &Value, value: &Value, deeper: u8) -> bool {
    let Some(left) = deeper.checked_sub(1) else { return false };
    match schema {
        Value::Bool(always) => *always,
        Value::Object(schema) => {
            schema.iter().all(|(keyword, says)| keeps(schema, keyword, says, value, left))
        }
        _ => false,
    }
}

/// Whether the value keeps to one keyword. Of a value of another kind than the keyword's it asks nothing.
fn keeps(schema: &Map<String, Value>, keyword: &str, says: &Value, value: &Value, left: u8) -> bool {
    match keyword {
        "title" | "description" | "default" | "examples" => true,
        // What our own host reads.
        _ if keyword.starts_with("x-ops-") => true,
        "$schema" => says == "https://json-schema.org/draft/2020-12/schema",
        "type" => match says {
            Value::String(kind) => is_of(kind, value),
            Value::Array(kinds) => {
                kinds.iter().any(|kind| kind.as_str().is_some_and(|kind| is_of(kind, value)))
            }
            _ => false,
        },
        "const" => value.is_string() && says == value,
        "enum" => value.is_string() && says.as_array().is_some_and(|all| all.contains(value)),
        "minimum" => at_most(says, value),
        "maximum" => at_most(value, says),
        "minLength" => value.as_str().is_none_or(|text| no_fewer(text.chars().count(), says)),
        "maxLength" => value.as_str().is_none_or(|text| no_more(text.chars().count(), says)),
        "minItems" => value.as_array().is_none_or(|items| no_fewer(items.len(), says)),
        "maxItems" => value.as_array().is_none_or(|items| no_more(items.len(), says)),
        // `prefixItems` beside it would change what it means, and is not known here.
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| holds(says, item, left))),
        "required" => value.as_object().is_none_or(|fields| {
            let has = |name: &Value| name.as_str().is_some_and(|name| fields.contains_key(name));
            says.as_array().is_some_and(|names| names.iter().all(has))
        }),
        "properties" => value.as_object().is_none_or(|fields| {
            says.as_object().is_some_and(|known| {
                known
                    .iter()
                    .all(|(name, schema)| fields.get(name).is_none_or(|field| holds(schema, field, left)))
            })
        }),
        "additionalProperties" => value.as_object().is_none_or(|fields| {
            let known = schema.get("properties").and_then(Value::as_object);
            let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
            fields.iter().all(|(name, field)| is_known(name) || holds(says, field, left))
        }),
        _ => false,
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        // 1.0 is an integer too, for whoever knows.
        "integer" | "number" => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

/// For whole numbers only; of anything else that is compared with one, nothing is asked, or nothing is plain.
fn at_most(small: &Value, large: &Value) -> bool {
    match (whole(small), whole(large)) {
        (Some(small), Some(large)) => small <= large,
        _ => false,
    }
}

fn whole(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

fn no_fewer(count: usize, than: &Value) -> bool {
    than.as_u64().is_some_and(|than| count as u64 >= than)
}

fn no_more(count: usize, than: &Value) -> bool {
    than.as_u64().is_some_and(|than| count as u64 <= than)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn common_arguments_are_plain() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Input", "type": "object",
            "properties": {
                "to": {"type": "string", "minLength": 1, "maxLength": 3, "description": "To whom.", "x-ops-positional": 1},
                "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 5},
                "kind": {"enum": ["a", "b"]},
                "all": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
            },
            "required": ["to"], "additionalProperties": false,
        });
        for value in [json!({"to": "a"}), json!({"to": "äöü", "count": 5, "kind": "b", "all": [true]})] {
            assert!(is_valid(&schema, &value), "{value}");
        }
        for value in [
            json!({}),
            json!({"to": ""}),
            json!({"to": "äöüß"}),
            json!({"to": "a", "count": 6}),
            json!({"to": "a", "kind": "c"}),
            json!({"to": "a", "all": []}),
            json!({"to": "a", "all": [1]}),
            json!({"to": "a", "more": 1}),
        ] {
            assert!(!is_valid(&schema, &value), "{value}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i64..6).prop_map(Value::from),
            Just(json!(1.0)),
            Just(json!(2.5)),
            Just(json!(u64::MAX)),
            "[ab\u{e4}]{0,3}".prop_map(Value::from),
        ];
        plain.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|fields| json!(fields)),
            ]
        })
    }

    fn keyword() -> impl Strategy<Value = (String, Value)> {
        let kind =
            prop::sample::select(vec!["object", "array", "string", "boolean", "null", "integer", "number"]);
        let bound = -1i64..4;
        prop_oneof![
            kind.clone().prop_map(|kind| ("type".to_owned(), json!(kind))),
            prop::collection::btree_set(kind, 1..3).prop_map(|kinds| ("type".to_owned(), json!(kinds))),
            value().prop_map(|value| ("const".to_owned(), value)),
            prop::collection::vec(value(), 1..4).prop_map(|values| ("enum".to_owned(), json!(values))),
            (
                prop::sample::select(vec!["minimum", "maximum"]),
                prop_oneof![bound.prop_map(Value::from), Just(json!(1.5))]
            )
                .prop_map(|(name, bound)| (name.to_owned(), bound)),
            (prop::sample::select(vec!["minLength", "maxLength", "minItems", "maxItems"]), 0u64..4)
                .prop_map(|(name, bound)| (name.to_owned(), json!(bound))),
            prop::collection::btree_set("[abc]", 0..3)
                .prop_map(|names| ("required".to_owned(), json!(names))),
            any::<bool>().prop_map(|more| ("additionalProperties".to_owned(), json!(more))),
            Just(("prefixItems".to_owned(), json!([{"type": "string"}]))),
            Just(("patternProperties".to_owned(), json!({"^a": {"type": "string"}}))),
            Just(("not".to_owned(), json!({"type": "string"}))),
            Just(("title".to_owned(), json!("a"))),
        ]
    }

    fn schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            prop::collection::vec(keyword(), 0..4)
                .prop_map(|words| json!(words.into_iter().collect::<Map<_, _>>())),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            let fields = prop::collection::btree_map("[abc]", inner.clone(), 0..3);
            (prop::collection::vec(keyword(), 0..3), fields, inner, 0u8..4).prop_map(
                |(words, fields, item, which)| {
                    let mut schema: Map<_, _> = words.into_iter().collect();
                    if which & 1 == 0 {
                        schema.insert("properties".to_owned(), json!(fields));
                    }
                    if which & 2 == 0 {
                        schema.insert("items".to_owned(), item.clone());
                        schema.insert("additionalProperties".to_owned(), item);
                    }
                    Value::Object(schema)
                },
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_is_plain_is_so(schema in schema(), value in value()) {
            if is_valid(&schema, &value) {
                let validator = jsonschema::draft202012::new(&schema).unwrap();
                prop_assert!(validator.is_valid(&value), "{schema} {value}");
            }
        }
    }
}
