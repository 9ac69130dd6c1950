//! What a component may import, in classes, and our own words for what it may not.
//!
//! This is asked before anything of a component runs. The linker refuses the same things a second time, because it
//! has no more than is named here; but it says so in the engine's terms.

use ops_policy::interface::{Class, Interface, Power};
use ops_policy::manifest::Safety;

use crate::job::Links;

/// A component imports something that it does not get.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the component imports `{import}`, which it does not get: {why}")]
pub struct ImportRefused {
    /// The import's full name.
    pub import: String,
    /// What would grant it, or that nothing can.
    pub why: String,
}

/// Checks a component's imports against the links that a run would have.
///
/// # Errors
///
/// The first import that has no link, with what would grant it.
pub fn check(imports: &[String], links: Links, safety: Safety) -> Result<(), ImportRefused> {
    for import in imports {
        if let Err(why) = check_one(import, links, safety) {
            return Err(ImportRefused { import: import.clone(), why: why.to_owned() });
        }
    }
    Ok(())
}

/// Whether every guest gets this interface of WASI.
pub(crate) fn is_base(import: &str) -> bool {
    import.starts_with("wasi:") && Interface::parse(import).class == Class::Inert
}

/// Which of our interfaces are among a component's imports.
pub(crate) fn needed(imports: &[String]) -> Links {
    let mut needed = Links::default();
    for import in imports {
        match Interface::parse(import).power {
            Some(Power::Fetch) => needed.fetch = true,
            Some(Power::Effects) => needed.effects = true,
            Some(Power::Invoke) => needed.invoke = true,
            Some(Power::Http) => needed.http = true,
            None => {}
        }
    }
    needed
}

/// Whether all these links are among those.
pub(crate) fn covers(those: Links, these: Links) -> bool {
    let Links { fetch, effects, http, invoke } = these;
    (!fetch || those.fetch)
        && (!effects || those.effects)
        && (!http || those.http)
        && (!invoke || those.invoke)
}

fn check_one(import: &str, links: Links, safety: Safety) -> Result<(), &'static str> {
    let interface = Interface::parse(import);
    if let Some(why) = interface.never {
        return Err(why);
    }
    let Some(power) = interface.power else { return Ok(()) };
    match power {
        Power::Fetch if links.fetch => Ok(()),
        Power::Fetch => {
            Err("the binding grants no service that it needs; under `services:`, give the service an \
                 `origin:` and a rule with `effect: read`")
        }
        Power::Effects if safety == Safety::ReadOnly => Err(
            "a read-only capability never gets it; ask its author what it is for, and if it is meant to change \
                 something, manifest and binding say so: `safety: mutating`",
        ),
        Power::Effects if links.effects => Ok(()),
        Power::Effects => {
            Err("the binding grants no change that it needs; under `services:`, give the service an \
                 `origin:` and a rule with `effect: mutate` or `effect: destroy`")
        }
        Power::Invoke if links.invoke => Ok(()),
        Power::Invoke => Err(
            "its manifest names no capability that it calls, so no `invoke:` in the binding can grant it; \
             build it with `needs(invoke(\"…\"))`",
        ),
        Power::Http if links.http => Ok(()),
        Power::Http => Err(
            "the binding grants no service with `effect: read` that it needs; under `services:`, give the service \
             an `origin:` and a rule with `effect: read`, which is all that plain `wasi:http` is for",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Links = Links { fetch: false, effects: false, http: false, invoke: false };
    const ALL: Links = Links { fetch: true, effects: true, http: true, invoke: true };

    fn refusal(import: &str, links: Links, safety: Safety) -> Option<String> {
        check(&[import.to_owned()], links, safety).err().map(|refused| refused.to_string())
    }

    #[test]
    fn what_every_guest_gets() {
        let inert =
            Interface::known().filter(|name| name.starts_with("wasi:") && !name.starts_with("wasi:http/"));
        for name in inert {
            assert_eq!(refusal(&format!("{name}@0.2.6"), NONE, Safety::ReadOnly), None);
        }
        for name in ["types", "report"] {
            assert_eq!(refusal(&format!("ops:capability/{name}@0.1.0"), NONE, Safety::ReadOnly), None);
        }
    }

    #[test]
    fn what_links_grant() {
        let fetch = "ops:capability/fetch@0.1.0";
        assert_eq!(refusal(fetch, ALL, Safety::ReadOnly), None);
        assert!(refusal(fetch, NONE, Safety::ReadOnly).unwrap().contains("`effect: read`"));
        for http in ["wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.12"] {
            assert_eq!(refusal(http, ALL, Safety::ReadOnly), None);
            let without = Links { http: false, ..ALL };
            assert!(
                refusal(http, without, Safety::Mutating).unwrap().contains("no service with `effect: read`")
            );
        }
        let invoke = "ops:capability/invoke@0.1.0";
        assert_eq!(refusal(invoke, ALL, Safety::ReadOnly), None);
        assert!(refusal(invoke, NONE, Safety::ReadOnly).unwrap().contains("names no capability"));
        let effects = "ops:capability/effects@0.1.3";
        assert_eq!(refusal(effects, ALL, Safety::Mutating), None);
        assert!(refusal(effects, NONE, Safety::Mutating).unwrap().contains("`effect: mutate`"));
        assert!(refusal(effects, ALL, Safety::ReadOnly).unwrap().contains("read-only capability never"));
    }

    #[test]
    fn what_nothing_grants() {
        for (import, expected) in [
            ("wasi:sockets/tcp@0.2.6", "nothing grants sockets"),
            ("wasi:sockets/ip-name-lookup@0.2.12", "nothing grants sockets"),
            ("wasi:http/incoming-handler@0.2.4", "of `wasi:http` a guest gets"),
            ("wasi:http/handler@0.2.4", "of `wasi:http` a guest gets"),
            ("wasi:http/types@0.3.0", "WASI 0.2"),
            ("wasi:http/outgoing-handler", "WASI 0.2"),
            ("wasi:keyvalue/store@0.2.0", "no grant stands for it"),
            ("wasi:clocks/timezone@0.2.6", "no grant stands for it"),
            ("wasi:io/poll@0.3.0", "WASI 0.2"),
            ("wasi:io/poll", "WASI 0.2"),
            ("ops:capability/fetch@0.2.0", "`ops:capability` 0.1"),
            ("ops:capability/secrets@0.1.0", "no such interface"),
            ("ops:capability-x/fetch@0.1.0", "no such interface"),
            ("env", "no such interface"),
            ("", "no such interface"),
        ] {
            let text = refusal(import, ALL, Safety::Destructive).unwrap();
            assert!(text.contains(expected) && text.contains(&format!("`{import}`")), "{text}");
        }
    }

    /// With the links that it needs a component is not refused for want of a link, and without one of them it is.
    #[test]
    fn what_is_needed_is_what_is_asked_for() {
        for (import, needed) in [
            ("ops:capability/fetch@0.1.0", Links { fetch: true, ..NONE }),
            ("ops:capability/effects@0.1.0", Links { effects: true, ..NONE }),
            ("ops:capability/invoke@0.1.0", Links { invoke: true, ..NONE }),
            ("wasi:http/outgoing-handler@0.2.6", Links { http: true, ..NONE }),
            ("wasi:io/poll@0.2.6", NONE),
        ] {
            assert_eq!(super::needed(&[import.to_owned()]), needed);
            assert_eq!(refusal(import, needed, Safety::Destructive), None);
            assert_eq!(refusal(import, NONE, Safety::Destructive).is_some(), needed != NONE);
            assert_eq!((covers(ALL, needed), covers(NONE, needed)), (true, needed == NONE));
        }
    }

    #[test]
    fn the_first_refusal_is_named() {
        let imports = ["wasi:io/poll@0.2.6", "wasi:sockets/tcp@0.2.6", "env"].map(String::from);
        assert_eq!(check(&imports, ALL, Safety::Destructive).unwrap_err().import, "wasi:sockets/tcp@0.2.6");
    }
}
