//! The words of the attribute: reads them in any order, refuses unknown, missing and repeated ones at their place.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Result, Token, parenthesized};

/// Everything that stands in the attribute.
pub(crate) struct Words {
    pub(crate) name: LitStr,
    pub(crate) summary: LitStr,
    pub(crate) safety: Safety,
    pub(crate) needs: Vec<Need>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Safety {
    ReadOnly,
    Mutating,
    Destructive,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RuleEffect {
    Read,
    Mutate,
    Destroy,
}

#[derive(Clone, Copy)]
pub(crate) enum Access {
    Read,
    Stage,
}

pub(crate) struct Need {
    pub(crate) name: LitStr,
    pub(crate) optional: bool,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Service(Vec<Rule>),
    Directory(Access),
    Contract,
    Invoke,
    Config(LitStr),
}

pub(crate) struct Rule {
    pub(crate) method: Ident,
    pub(crate) path: LitStr,
    pub(crate) effect: RuleEffect,
    /// For requests that effects state as their undo: the safety class does not bound it.
    pub(crate) undo: bool,
    pub(crate) query: Vec<LitStr>,
    pub(crate) headers: Vec<LitStr>,
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

impl Parse for Words {
    fn parse(input: ParseStream) -> Result<Self> {
        let (mut name, mut summary, mut safety, mut needs) = (None, None, None, None);
        while !input.is_empty() {
            let word: Ident = input.parse()?;
            match word.to_string().as_str() {
                "name" => once(&mut name, &word, text(input)?)?,
                "summary" => once(&mut summary, &word, text(input)?)?,
                "safety" => once(&mut safety, &word, text(input)?)?,
                "needs" => once(&mut needs, &word, list(input, Need::parse)?)?,
                _ => return Err(unknown(&word, &["name", "summary", "safety", "needs"])),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |what| Error::new(Span::call_site(), format!("the attribute lacks `{what}`"));
        let words = Self {
            name: capability_name(name.ok_or_else(|| missing("name = \"domain.noun.verb\""))?)?,
            summary: sentence(summary.ok_or_else(|| missing("summary = \"…\""))?)?,
            safety: safety_word(&safety.ok_or_else(|| missing("safety = \"read-only\""))?)?,
            needs: needs.unwrap_or_default(),
        };
        words.check()?;
        Ok(words)
    }
}

impl Words {
    /// What can only be seen of all needs together.
    fn check(&self) -> Result<()> {
        for (at, need) in self.needs.iter().enumerate() {
            let twin = |other: &&Need| {
                other.kind_word() == need.kind_word() && other.name.value() == need.name.value()
            };
            if self.needs.iter().take(at).any(|other| twin(&other)) {
                return Err(Error::new(
                    need.name.span(),
                    format!("this {} is named twice", need.kind_word()),
                ));
            }
            if let (Kind::Directory(Access::Stage), Safety::ReadOnly) = (&need.kind, self.safety) {
                return Err(Error::new(need.name.span(), "a read-only capability stages nothing"));
            }
            let Kind::Service(rules) = &need.kind else { continue };
            for rule in rules {
                let enough = match rule.effect {
                    RuleEffect::Read => Safety::ReadOnly,
                    RuleEffect::Mutate => Safety::Mutating,
                    RuleEffect::Destroy => Safety::Destructive,
                };
                if rule.undo && (self.safety == Safety::ReadOnly || rule.effect == RuleEffect::Read) {
                    return Err(Error::new(
                        rule.path.span(),
                        "an `undo` changes something back, so it changes",
                    ));
                }
                if self.safety < enough && !rule.undo {
                    return Err(Error::new(rule.path.span(), "this rule does more than `safety` says"));
                }
            }
        }
        Ok(())
    }
}

impl Need {
    fn kind_word(&self) -> &'static str {
        match self.kind {
            Kind::Service(_) => "service",
            Kind::Directory(_) => "directory",
            Kind::Contract => "contract",
            Kind::Invoke => "capability",
            Kind::Config(_) => "config key",
        }
    }
}

impl Parse for Need {
    fn parse(input: ParseStream) -> Result<Self> {
        let kind: Ident = input.parse()?;
        let inner;
        match kind.to_string().as_str() {
            "service" | "directory" | "contract" | "invoke" | "config" => parenthesized!(inner in input),
            _ => return Err(unknown(&kind, &["service", "directory", "contract", "invoke", "config"])),
        };
        let name: LitStr = inner.parse()?;
        let mut optional = false;
        let (mut rules, mut access, mut meaning) = (vec![], None, None);
        while !inner.is_empty() {
            inner.parse::<Token![,]>()?;
            if inner.is_empty() {
                break;
            }
            if kind == "config" && inner.peek(LitStr) {
                once(&mut meaning, &kind, inner.parse()?)?;
                continue;
            }
            let word: Ident = inner.parse()?;
            match (kind.to_string().as_str(), word.to_string().as_str()) {
                (_, "optional") if optional => return Err(twice(&word)),
                (_, "optional") => optional = true,
                ("service", "rule") => {
                    let rule;
                    parenthesized!(rule in inner);
                    rules.push(rule.parse()?);
                }
                ("directory", "read") => once(&mut access, &word, Access::Read)?,
                ("directory", "stage") => once(&mut access, &word, Access::Stage)?,
                ("service", _) => return Err(unknown(&word, &["rule(…)", "optional"])),
                ("directory", _) => return Err(unknown(&word, &["read", "stage", "optional"])),
                ("contract" | "invoke", _) => return Err(unknown(&word, &["optional"])),
                _ => return Err(unknown(&word, &["optional", "the setting's meaning in quotes"])),
            }
        }
        let lacks = |what: &str| Error::new(name.span(), format!("this {kind} lacks {what}"));
        let kind = match kind.to_string().as_str() {
            "service" if rules.is_empty() => {
                return Err(lacks("a rule, for example `rule(GET \"/path\", read)`"));
            }
            "service" => Kind::Service(rules),
            "directory" => Kind::Directory(access.ok_or_else(|| lacks("`read` or `stage`"))?),
            "contract" => Kind::Contract,
            "invoke" => Kind::Invoke,
            _ => {
                Kind::Config(meaning.ok_or_else(|| lacks("its meaning: `config(\"key\", \"What it is.\")`"))?)
            }
        };
        match kind {
            Kind::Service(_) | Kind::Directory(_) => plain_name(&name)?,
            Kind::Contract => contract_name(&name)?,
            Kind::Invoke => invoked_name(&name)?,
            Kind::Config(_) => {}
        }
        Ok(Self { name, optional, kind })
    }
}

impl Parse for Rule {
    fn parse(input: ParseStream) -> Result<Self> {
        let method: Ident = input.parse()?;
        if !METHODS.iter().any(|known| method == known) {
            return Err(unknown(&method, METHODS));
        }
        let path: LitStr = input.parse()?;
        let value = path.value();
        if !value.starts_with('/') || value.contains(['?', '#']) || value.chars().any(char::is_whitespace) {
            return Err(Error::new(
                path.span(),
                "a path begins with `/` and has no query: write `query(\"key\")` beside it",
            ));
        }
        let (mut effect, mut undo, mut query, mut headers) = (None, None, None, None);
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let word: Ident = input.parse()?;
            match word.to_string().as_str() {
                "read" => once(&mut effect, &word, RuleEffect::Read)?,
                "mutate" => once(&mut effect, &word, RuleEffect::Mutate)?,
                "destroy" => once(&mut effect, &word, RuleEffect::Destroy)?,
                "undo" => once(&mut undo, &word, ())?,
                "query" => once(&mut query, &word, list(input, |input| input.parse())?)?,
                "headers" => once(&mut headers, &word, list(input, |input| input.parse())?)?,
                _ => {
                    let known = ["read", "mutate", "destroy", "undo", "query(…)", "headers(…)"];
                    return Err(unknown(&word, &known));
                }
            }
        }
        let effect = effect.ok_or_else(|| {
            Error::new(path.span(), "this rule lacks its effect: `read`, `mutate` or `destroy`")
        })?;
        Ok(Self {
            method,
            path,
            effect,
            undo: undo.is_some(),
            query: query.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
        })
    }
}

/// `= "…"`.
fn text(input: ParseStream) -> Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `(a, b, …)`.
fn list<T>(input: ParseStream, item: fn(ParseStream) -> Result<T>) -> Result<Vec<T>> {
    let inner;
    parenthesized!(inner in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated_with(&inner, item)?.into_iter().collect())
}

fn once<T>(slot: &mut Option<T>, word: &Ident, value: T) -> Result<()> {
    match slot.replace(value) {
        Some(_) => Err(twice(word)),
        None => Ok(()),
    }
}

fn twice(word: &Ident) -> Error {
    Error::new(word.span(), format!("`{word}` says again what was said before"))
}

fn unknown(word: &Ident, allowed: &[&str]) -> Error {
    Error::new(word.span(), format!("`{word}` is not known here; expected one of: {}", allowed.join(", ")))
}

fn safety_word(word: &LitStr) -> Result<Safety> {
    match word.value().as_str() {
        "read-only" => Ok(Safety::ReadOnly),
        "mutating" => Ok(Safety::Mutating),
        "destructive" => Ok(Safety::Destructive),
        _ => Err(Error::new(word.span(), "expected one of: \"read-only\", \"mutating\", \"destructive\"")),
    }
}

fn sentence(summary: LitStr) -> Result<LitStr> {
    let value = summary.value();
    if value.trim().is_empty() || value.chars().any(char::is_control) {
        return Err(Error::new(summary.span(), "a summary is one sentence on one line"));
    }
    Ok(summary)
}

fn capability_name(name: LitStr) -> Result<LitStr> {
    let value = name.value();
    let parts = value.split('.').count();
    if value.len() > 100 || !(2..=6).contains(&parts) || !value.split('.').all(is_plain) {
        let form = "a capability is named `domain.noun.verb`: 2 to 6 parts of lower-case letters, digits and hyphens, at most 100 bytes";
        return Err(Error::new(name.span(), form));
    }
    Ok(name)
}

/// A capability's name, or a family of them.
fn invoked_name(name: &LitStr) -> Result<()> {
    let value = name.value();
    let parts: Vec<_> = value.strip_suffix(".**").map_or(&*value, |family| family).split('.').collect();
    let least = if value.ends_with(".**") { 1 } else { 2 };
    if value.len() <= 100 && (least..=6).contains(&parts.len()) && parts.into_iter().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(
        name.span(),
        "a capability is named as in `infra.vm.status`, or as a family of them in `gates.**`",
    ))
}

fn plain_name(name: &LitStr) -> Result<()> {
    match is_plain(&name.value()) {
        true => Ok(()),
        false => Err(Error::new(
            name.span(),
            "a name begins with a lower-case letter and goes on with letters, digits and hyphens",
        )),
    }
}

/// What the host takes as the name of a contract file.
fn contract_name(name: &LitStr) -> Result<()> {
    let value = name.value();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !value.ends_with(".yaml") || value.starts_with('.') || value.len() > 128 || !value.bytes().all(plain) {
        let form = "a contract is named as its file beside the bindings, for example `mail.contract.yaml`";
        return Err(Error::new(name.span(), form));
    }
    Ok(())
}

fn is_plain(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "infra.vm.clone", summary = "Clones.", safety = "mutating",
        needs(
            service("pve", optional, rule(GET "/vms/{id}", read, query("a", "b"),), rule(POST "/vms", mutate, headers("x-a")), rule(DELETE "/vms/{id}", destroy, undo)),
            directory("notes", stage, optional),
            contract("mail.contract.yaml", optional),
            invoke("infra.vm.status", optional),
            invoke("gates.**"),
            config("node", "The node."),
        ),
    "#;

    #[test]
    fn good_words_are_read() {
        let words: Words = syn::parse_str(GOOD).unwrap();
        let [service, directory, contract, invoke, family, config] = words.needs.as_slice() else {
            panic!("six needs")
        };
        assert!(matches!(contract.kind, Kind::Contract) && contract.optional);
        assert!(matches!(invoke.kind, Kind::Invoke) && invoke.optional && !family.optional);
        let Kind::Service(rules) = &service.kind else { panic!("a service") };
        assert_eq!((rules.len(), rules[0].query.len(), rules[1].headers.len()), (3, 2, 1));
        assert!(rules[2].undo && !rules[1].undo);
        assert!(service.optional && directory.optional && !config.optional);
    }

    /// Each case changes one word of what is good; the error must be about, and point at, that word.
    #[test]
    fn errors_point_at_the_wrong_word() {
        for (from, to, at, message) in [
            ("infra.vm.clone", "Infra.VM", "\"Infra.VM\"", "a capability is named"),
            ("infra.vm.clone", "clone", "\"clone\"", "a capability is named"),
            ("\"Clones.\"", "\"\"", "\"\"", "one sentence"),
            ("\"mutating\"", "\"harmless\"", "\"harmless\"", "expected one of: \"read-only\""),
            ("safety =", "savety =", "savety", "expected one of: name, summary, safety, needs"),
            ("summary = \"Clones.\",", "name = \"a.b\",", "name", "says again"),
            ("service(", "server(", "server", "expected one of: service, directory, contract, invoke"),
            ("\"pve\"", "\"PVE\"", "\"PVE\"", "a name begins with"),
            ("optional, rule", "optinal, rule", "optinal", "expected one of: rule(…), optional"),
            ("stage, optional", "write, optional", "write", "expected one of: read, stage, optional"),
            ("stage, optional", "stage, read", "read", "says again"),
            ("stage, optional", "optional", "\"notes\"", "lacks `read` or `stage`"),
            ("mail.contract.yaml", "../ops.yaml", "\"../ops.yaml\"", "a contract is named"),
            (
                "mail.contract.yaml\", optional",
                "mail.contract.yaml\", read",
                "read",
                "expected one of: optional",
            ),
            ("gates.**", "gates.*", "\"gates.*\"", "a capability is named as in"),
            ("gates.**", "**", "\"**\"", "a capability is named as in"),
            ("infra.vm.status", "status", "\"status\"", "a capability is named as in"),
            ("GET", "get", "get", "expected one of: GET, HEAD"),
            ("\"/vms\"", "\"vms\"", "\"vms\"", "a path begins with `/`"),
            ("\"/vms\"", "\"/vms?a=1\"", "\"/vms?a=1\"", "query(\"key\")"),
            ("/vms\", mutate", "/vms\", change", "change", "expected one of: read, mutate, destroy, undo"),
            ("destroy, undo", "read, undo", "\"/vms/{id}\"", "changes something back"),
            ("destroy, undo", "destroy", "\"/vms/{id}\"", "more than `safety` says"),
            ("/vms\", mutate,", "/vms\",", "\"/vms\"", "lacks its effect"),
            ("/vms\", mutate", "/vms\", destroy", "\"/vms\"", "more than `safety` says"),
            (", \"The node.\"", "", "\"node\"", "lacks its meaning"),
            ("config(", "directory(\"notes\", read), config(", "\"notes\"", "named twice"),
        ] {
            assert_eq!(GOOD.matches(from).count(), 1, "{from} names one place");
            let error = syn::parse_str::<Words>(&GOOD.replace(from, to))
                .err()
                .unwrap_or_else(|| panic!("{to} is wrong"));
            assert!(error.to_string().contains(message), "{to}: {error}");
            assert_eq!(error.span().source_text().as_deref(), Some(at), "{to}: {error}");
        }
    }

    #[test]
    fn a_read_only_capability_changes_nothing() {
        for (needs, wrong) in [
            ("directory(\"a\", stage)", true),
            ("directory(\"a\", read)", false),
            ("service(\"a\", rule(PUT \"/\", mutate))", true),
            ("service(\"a\", rule(POST \"/\", read))", false),
        ] {
            let words = format!("name = \"a.b\", summary = \"S\", safety = \"read-only\", needs({needs})");
            assert_eq!(syn::parse_str::<Words>(&words).is_err(), wrong, "{needs}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for missing in ["name = \"infra.vm.clone\",", "summary = \"Clones.\",", "safety = \"mutating\","] {
            let error = syn::parse_str::<Words>(&GOOD.replace(missing, "")).err().unwrap();
            let word = missing.split(' ').next().unwrap();
            assert!(error.to_string().contains(&format!("lacks `{word}")), "{error}");
        }
    }
}
