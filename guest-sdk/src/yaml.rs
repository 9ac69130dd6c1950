//! Contracts, which are YAML that people write: read strictly, as bindings are.

use serde::de::DeserializeOwned;
use serde_saphyr::MergeKeyPolicy;

use crate::Failure;

/// Reads the text of a contract into a type of the capability's own. Unknown fields are that type's affair
/// (`deny_unknown_fields`); duplicate keys, anchors, merge keys, tags and more than one document are errors here, and so
/// is a file of more than 16 levels or 5,000 nodes.
///
/// # Errors
/// `Failed`, with the name of the contract and the place in the file.
pub fn read_contract<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Failure> {
    serde_saphyr::from_str_with_options(text, yaml_options(NODES))
        .map_err(|error| Failure::failed(format!("{name}: {error}; correct the file and pin again")))
}

/// How many nodes a contract may have.
const NODES: usize = 5000;

/// The YAML that bindings are written in, with every way in which it surprises people turned off: how a capability reads a
/// file of `nodes` values and keys at most, where [`read_contract`] does not tell enough of what is wrong.
pub fn yaml_options(nodes: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        merge_keys: MergeKeyPolicy::Error,
        no_schema: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        strict_indentation: false,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_depth: 16,
            max_nodes: nodes,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        on: bool,
        names: Vec<String>,
    }

    #[test]
    fn what_surprises_people_is_refused() {
        let good: Sample = read_contract("x.yaml", "on: true\nnames: [a, \"2\"]\n").unwrap();
        assert_eq!(good, Sample { on: true, names: vec!["a".into(), "2".into()] });
        for text in [
            "on: yes\nnames: []",
            "on: true\non: false\nnames: []",
            "on: true\nnames: [2]",
            "on: true\nnames: &all [a]",
            "on: true\nnames: []\nmore: 1",
            "on: true\nnames: []\n---\non: false\nnames: []",
            "on: !!bool true\nnames: !env [HOME]",
            &format!("on: true\nnames: [{}]", "a, ".repeat(5001)),
        ] {
            let why = read_contract::<Sample>("x.yaml", text).unwrap_err().why();
            assert!(why.starts_with("x.yaml: ") && why.ends_with("correct the file and pin again"), "{why}");
        }
    }
}
