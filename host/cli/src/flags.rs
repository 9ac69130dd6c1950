//! A capability's flags: made from its input schema, so that there is one source for flags, MCP and docs.

use clap::builder::{PossibleValuesParser, RangedI64ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ops_policy::manifest::{Manifest, Safety};
use ops_policy::visible::visible;
use ops_runner::arguments::{Takes, flag, is_nothing, is_positional, positions, properties, required, takes};
use serde_json::{Map, Value};

/// What was typed, read by the schema.
#[derive(Debug)]
pub(crate) struct Typed {
    /// The arguments, a JSON object.
    pub(crate) values: Value,
    /// `--dry-run`.
    pub(crate) dry_run: bool,
    /// `--json`.
    pub(crate) json: bool,
    /// `--trace-checks`.
    pub(crate) trace: bool,
}

/// Reads the words after a capability's name.
///
/// # Errors
///
/// Clap's: wrong usage, or the help that was asked for.
pub(crate) fn read(manifest: &Manifest, words: &[String]) -> Result<Typed, clap::Error> {
    let mut command = command(manifest);
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let matches = command.try_get_matches_from_mut(words)?;
    let mut values = Map::new();
    for (name, schema) in properties(manifest) {
        let takes = takes(schema);
        let by_position =
            || is_positional(schema).then(|| value(&matches, &by_position(name), &takes)).flatten();
        if let Some(value) = value(&matches, name, &takes).or_else(by_position) {
            let value = value.map_err(|why| {
                command.error(clap::error::ErrorKind::ValueValidation, format!("--{}: {why}", flag(name)))
            })?;
            values.insert(name.clone(), value);
        }
    }
    Ok(Typed {
        values: Value::Object(values),
        dry_run: matches.get_flag("ops dry run"),
        json: matches.get_flag("ops json"),
        trace: matches.get_flag("ops trace"),
    })
}

fn command(manifest: &Manifest) -> Command {
    let required = required(manifest);
    let mut command = Command::new(manifest.name.clone())
        .no_binary_name(true)
        .bin_name(format!("ops cap run {}", manifest.name))
        .about(visible(&manifest.summary))
        .disable_version_flag(true)
        .next_help_heading("Flags of this capability");
    for (name, schema) in properties(manifest) {
        command =
            command.arg(argument(name, schema, required.contains(&name.as_str()), is_positional(schema)));
    }
    for (place, (name, schema)) in positions(manifest).into_iter().enumerate() {
        let argument = Arg::new(by_position(name))
            .index(place + 1)
            .value_name(name.to_uppercase())
            .help(format!("The same as --{}", flag(name)))
            .conflicts_with(name.clone());
        command = command.arg(parser(argument, &takes(schema)));
    }
    let changes = if manifest.safety == Safety::ReadOnly {
        "Accepted; this capability changes nothing anyway"
    } else {
        "Show what it would change, and change nothing"
    };
    command.next_help_heading("Flags of ops").args([
        switch("ops dry run", "dry-run", changes),
        switch("ops execute", "execute", "Accepted and changes nothing: a change needs an approved plan")
            .hide(true),
        switch("ops json", "json", "Print one JSON envelope"),
        switch("ops trace", "trace-checks", "Show each decision as it is made, as the audit log has it"),
    ])
}

fn switch(id: &'static str, long: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(long).help(help).action(ArgAction::SetTrue).overrides_with(id)
}

/// The id of a value that was given by position.
fn by_position(name: &str) -> String {
    format!("{name} by position")
}

fn argument(name: &str, schema: &Value, required: bool, positional: bool) -> Arg {
    let takes = takes(schema);
    let mut help = schema.get("description").and_then(Value::as_str).map(visible).unwrap_or_default();
    if let Some(default) = schema.get("default").filter(|default| !is_nothing(default)) {
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        help = format!("{help} [default: {}]", visible(&default));
    }
    if matches!(takes, Takes::List(_)) {
        help = format!("{help} Again for each.");
    }
    // One that may be given by position is demanded by the schema, not here: either way of giving it will do.
    let argument = Arg::new(name.to_owned())
        .help(help.trim().to_owned())
        .value_name(takes.word())
        .long(flag(name))
        .required(required && !positional);
    parser(argument, &takes)
}

fn parser(argument: Arg, takes: &Takes) -> Arg {
    match takes {
        Takes::Text | Takes::Json => argument.value_parser(value_parser!(String)),
        Takes::Choice(words) => argument.value_parser(PossibleValuesParser::new(words)),
        Takes::Integer { least, most } => argument.allow_negative_numbers(true).value_parser(
            RangedI64ValueParser::<i64>::new()
                .range(least.unwrap_or(i64::MIN)..=most.unwrap_or(i64::MAX).max(least.unwrap_or(i64::MIN))),
        ),
        Takes::Switch => argument
            .value_parser(value_parser!(bool))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Takes::List(item) => parser(argument, item).action(ArgAction::Append),
    }
}

/// What was typed for one property, if anything was.
fn value(matches: &ArgMatches, name: &str, takes: &Takes) -> Option<Result<Value, String>> {
    match takes {
        Takes::Text | Takes::Choice(_) => matches.get_one::<String>(name).map(|text| Ok(text.clone().into())),
        Takes::Integer { .. } => matches.get_one::<i64>(name).map(|number| Ok((*number).into())),
        Takes::Switch => matches.get_one::<bool>(name).map(|on| Ok((*on).into())),
        Takes::Json => matches.get_one::<String>(name).map(|text| json(text)),
        Takes::List(item) => list(matches, name, item),
    }
}

fn list(matches: &ArgMatches, name: &str, item: &Takes) -> Option<Result<Value, String>> {
    Some(match item {
        Takes::Integer { .. } => Ok(matches.get_many::<i64>(name)?.copied().collect()),
        Takes::Switch => Ok(matches.get_many::<bool>(name)?.copied().collect()),
        Takes::Text | Takes::Choice(_) => Ok(matches.get_many::<String>(name)?.cloned().collect()),
        Takes::Json | Takes::List(_) => matches
            .get_many::<String>(name)?
            .map(|text| json(text))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
    })
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            name: "infra.vm.provision".into(),
            summary: "Makes a VM.".into(),
            version: "0.1.0".into(),
            safety: Safety::Mutating,
            input: json!({
                "type": "object",
                "required": ["target", "vm_id"],
                "properties": {
                    "target": {"type": "string", "description": "Which one."},
                    "vm_id": {"type": "integer", "minimum": 100, "maximum": 999},
                    "profile": {"type": ["string", "null"]},
                    "keep": {"type": "boolean"},
                    "tag": {"type": "array", "items": {"type": "string"}},
                    "mode": {"enum": ["full", "linked"]},
                    "pace": {"oneOf": [{"const": "slow", "description": "By night."}, {"enum": ["quick"]}]},
                    "boot": {"anyOf": [{"enum": ["disk", "net"]}, {"type": "null"}]},
                    "extra": {"type": "object"},
                    "word": {"type": "string", "x-ops-positional": 1}
                }
            }),
            output: json!({}),
            needs: vec![],
        }
    }

    fn typed(words: &str) -> Result<Typed, clap::Error> {
        read(&manifest(), &words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn reads_each_kind() {
        let typed = typed(
            "-- --target a --vm-id 214 --keep --tag x --tag y --mode full --extra {\"a\":1} w --dry-run --execute --json",
        )
        .unwrap();
        assert_eq!(
            typed.values,
            json!({"target": "a", "vm_id": 214, "keep": true, "tag": ["x", "y"], "mode": "full",
                   "extra": {"a": 1}, "word": "w"})
        );
        assert!(typed.dry_run && typed.json);
    }

    #[test]
    fn a_word_by_position_and_by_flag_is_the_same() {
        let by_flag = typed("--target a --vm-id 214 --word w").unwrap();
        assert_eq!(typed("--target a w --vm-id 214").unwrap().values, by_flag.values);
        assert!(typed("--target a --vm-id 214 w --word w").is_err());
    }

    #[test]
    fn words_are_typed_plainly_however_the_schema_writes_them() {
        let typed_values = typed("--target a --vm-id 214 --pace quick --boot net").unwrap().values;
        assert_eq!((&typed_values["pace"], &typed_values["boot"]), (&json!("quick"), &json!("net")));
        for wrong in ["--pace \"quick\"", "--pace fast", "--boot null"] {
            assert!(typed(&format!("--target a --vm-id 214 {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_switch_can_be_turned_off() {
        assert_eq!(typed("--target a --vm-id 214 --keep=false").unwrap().values["keep"], json!(false));
    }

    #[test]
    fn wrong_usage_is_said_in_words() {
        for (words, said) in [
            ("--vm-id 214", "--target"),
            ("--target a --vm-id abc", "invalid value 'abc'"),
            ("--target a --vm-id 5", "100..=999"),
            ("--target a --vm-id 214 --tragt b", "--target"),
            ("--target a --vm-id 214 --mode half", "full"),
            ("--target a --vm-id 214 --extra {", "not JSON"),
        ] {
            let error = typed(words).unwrap_err().to_string();
            assert!(error.contains(said), "{words}: {error}");
        }
    }

    #[test]
    fn help_is_made_from_the_schema() {
        let help = typed("--help").unwrap_err().to_string();
        for part in
            ["Makes a VM.", "--target <TEXT>", "Which one.", "--vm-id <N>", "--dry-run", "ops cap run"]
        {
            assert!(help.contains(part), "{part}: {help}");
        }
    }
}
