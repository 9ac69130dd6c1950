//! What the attribute makes of a function: a manifest and an entry, over plain types and their schemas.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Access, ConfigNeed, Ctx, DirectoryNeed, Failure, Manifest, Need, NeedKind, RuleEffect, RuleNeed, Safety,
    ServiceNeed,
};

/// A capability, as the attribute exports it under the name `CAPABILITY`.
pub struct Capability {
    #[doc(hidden)]
    pub describe: fn() -> Manifest,
    #[doc(hidden)]
    pub run: fn(&Ctx, &str) -> Result<String, Failure>,
}

impl Capability {
    /// What the component says of itself.
    pub fn manifest(&self) -> Manifest {
        (self.describe)()
    }

    /// Runs it in a component.
    #[cfg(target_arch = "wasm32")]
    #[doc(hidden)]
    pub fn answer(&self, input: crate::Input) -> Result<String, Failure> {
        (self.run)(&Ctx::new(input.config, input.services), &input.arguments)
    }
}

/// The words of the attribute that are the same for every function.
pub struct About {
    /// `domain.noun.verb`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The version of the capability's crate.
    pub version: &'static str,
    /// What it may do at most.
    pub safety: Safety,
    /// What it needs.
    pub needs: Vec<Need>,
}

/// The manifest of this function.
pub fn manifest<I, O>(_: fn(&Ctx, I) -> Result<O, Failure>, about: About) -> Manifest
where
    I: DeserializeOwned + JsonSchema,
    O: Serialize + JsonSchema,
{
    Manifest {
        name: about.name.to_owned(),
        summary: about.summary.to_owned(),
        version: about.version.to_owned(),
        safety: about.safety,
        input: schema::<I>(SchemaSettings::draft2020_12().for_deserialize()),
        output: schema::<O>(SchemaSettings::draft2020_12().for_serialize()),
        needs: about.needs,
    }
}

/// Reads the arguments, calls the function, writes its output.
pub fn call<I, O>(f: fn(&Ctx, I) -> Result<O, Failure>, ctx: &Ctx, arguments: &str) -> Result<String, Failure>
where
    I: DeserializeOwned,
    O: Serialize,
{
    let input = serde_json::from_str(arguments).map_err(|error| {
        Failure::InvalidInput(format!("the arguments do not fit the capability: {error}"))
    })?;
    Ok(serde_json::to_string(&f(ctx, input)?)?)
}

/// A schema in one piece: flags are made from it, and those who make them follow no references.
fn schema<T: JsonSchema>(settings: SchemaSettings) -> String {
    let schema: Schema = settings
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>();
    schema.as_value().to_string()
}

/// A service and the requests that go to it.
pub fn service(name: &str, optional: bool, rules: Vec<RuleNeed>) -> Need {
    Need { kind: NeedKind::Service(ServiceNeed { name: name.to_owned(), rules }), optional }
}

/// One kind of request to a service.
pub fn rule(method: &str, path: &str, effect: RuleEffect, query: &[&str], headers: &[&str]) -> RuleNeed {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    RuleNeed {
        method: method.to_owned(),
        path: path.to_owned(),
        effect,
        query: owned(query),
        headers: owned(headers),
    }
}

/// A directory.
pub fn directory(name: &str, optional: bool, access: Access) -> Need {
    Need { kind: NeedKind::Directory(DirectoryNeed { name: name.to_owned(), access }), optional }
}

/// A contract file.
pub fn contract(name: &str, optional: bool) -> Need {
    Need { kind: NeedKind::Contract(name.to_owned()), optional }
}

/// A capability that it calls, or all below a prefix that ends in `.**`.
pub fn invoke(name: &str, optional: bool) -> Need {
    Need { kind: NeedKind::Invoke(name.to_owned()), optional }
}

/// A setting.
pub fn config(key: &str, optional: bool, meaning: &str) -> Need {
    Need { kind: NeedKind::Config(ConfigNeed { key: key.to_owned(), meaning: meaning.to_owned() }), optional }
}
