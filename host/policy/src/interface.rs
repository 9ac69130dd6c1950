//! What an import is, in words: inert, a power that a binding may grant, or something that nobody gets.
//!
//! This is the one list of interfaces: the sandbox links by it, and everything that shows a component's imports to
//! a person reads its sentences here. What it does not name, nobody gets.

use serde::{Deserialize, Serialize};

/// What an interface can do for a component that imports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing by itself: every guest gets it, and nothing of the host is in it.
    Inert,
    /// It reaches the world, as far as a binding grants that.
    Power,
    /// Nobody gets it: a component that imports it does not run.
    Never,
}

impl Class {
    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inert => "inert",
            Self::Power => "power",
            Self::Never => "never",
        }
    }
}

/// The link that a power needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// `ops:capability/fetch`: reads of services.
    Fetch,
    /// `ops:capability/effects`: changes to services.
    Effects,
    /// `ops:capability/invoke`: calls of other capabilities.
    Invoke,
    /// `wasi:http`, a client's side of it: reads of services.
    Http,
}

/// One import, looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What it can do here.
    pub class: Class,
    /// The link that it needs, where it is a power.
    pub power: Option<Power>,
    /// What it does, in one sentence without a capital or a full stop.
    pub words: &'static str,
    /// Why nobody gets it, and what to do instead, where nobody does.
    pub never: Option<&'static str>,
}

/// Every interface that a guest may get: its name, what grants it, and what it does.
const KNOWN: &[(&str, Option<Power>, &str)] = &[
    ("wasi:io/error", None, "says what went wrong with a stream"),
    ("wasi:io/poll", None, "waits for several things at once"),
    ("wasi:io/streams", None, "moves bytes in and out of what was opened by other means"),
    ("wasi:cli/environment", None, "reads environment variables and arguments, of which there are none"),
    ("wasi:cli/exit", None, "ends the run early"),
    ("wasi:cli/stdin", None, "reads standard input, which is empty"),
    ("wasi:cli/stdout", None, "prints lines, which are captured up to a limit"),
    ("wasi:cli/stderr", None, "prints lines of errors, which are captured up to a limit"),
    ("wasi:cli/terminal-input", None, "would read from a terminal, and there is none"),
    ("wasi:cli/terminal-output", None, "would draw on a terminal, and there is none"),
    ("wasi:cli/terminal-stdin", None, "asks whether input is a terminal, which it is not"),
    ("wasi:cli/terminal-stdout", None, "asks whether output is a terminal, which it is not"),
    ("wasi:cli/terminal-stderr", None, "asks whether errors go to a terminal, which they do not"),
    ("wasi:clocks/wall-clock", None, "asks for the date, which stands still during a run"),
    ("wasi:clocks/monotonic-clock", None, "measures time by the run's own clock, and sleeps"),
    ("wasi:random/random", None, "draws random bytes from the run's seed"),
    ("wasi:random/insecure", None, "draws random bytes from the run's seed, quickly"),
    ("wasi:random/insecure-seed", None, "draws one number to seed hash tables with"),
    (
        "wasi:filesystem/types",
        None,
        "works with files in the directories that the binding grants, and in no others",
    ),
    ("wasi:filesystem/preopens", None, "lists the directories that the binding grants"),
    ("ops:capability/types", None, "names the types of the contract, and does nothing"),
    ("ops:capability/report", None, "tells people how far a run is, and logs lines for them"),
    (
        "ops:capability/fetch",
        Some(Power::Fetch),
        "reads services that the binding names, by rules with `effect: read`",
    ),
    (
        "ops:capability/effects",
        Some(Power::Effects),
        "changes services that the binding names, each change planned and approved first",
    ),
    (
        "ops:capability/invoke",
        Some(Power::Invoke),
        "calls other capabilities that the binding names, read-only ones, each with a receipt of its own",
    ),
    ("wasi:http/types", Some(Power::Http), "puts HTTP requests together and takes answers apart"),
    (
        "wasi:http/outgoing-handler",
        Some(Power::Http),
        "sends HTTP requests to services that the binding names, by rules with `effect: read`",
    ),
];

/// Interfaces, or packages (with a `/` at the end), that other hosts have and nobody gets here.
const REFUSED: &[(&str, &str)] = &[
    ("wasi:sockets/tcp-create-socket", "opens TCP sockets to any address"),
    ("wasi:sockets/tcp", "connects and listens with TCP, past every rule for services"),
    ("wasi:sockets/udp-create-socket", "opens UDP sockets to any address"),
    ("wasi:sockets/udp", "sends and takes UDP datagrams, past every rule for services"),
    ("wasi:sockets/ip-name-lookup", "resolves names, which tells a name server what it likes"),
    ("wasi:sockets/instance-network", "asks for the whole network"),
    ("wasi:sockets/", "works with sockets of the host's network"),
    ("wasi:http/incoming-handler", "passes requests on to another component that serves HTTP"),
    ("wasi:http/", "does something of HTTP that is not a client's"),
    ("wasi:clocks/timezone", "asks for the host's time zone"),
    ("wasi:cli/", "does something of a command that no guest needs"),
    ("wasi:filesystem/", "does something with files beyond the granted directories' own interface"),
    ("wasi:tls/", "speaks TLS by itself, so that nobody could see or bound what it says"),
    ("wasi:keyvalue/", "reads and writes a store of keys and values"),
    ("wasi:blobstore/", "reads and writes a store of large objects"),
    ("wasi:messaging/", "sends and takes messages"),
    ("wasi:config/", "reads settings of the host"),
    ("wasi:runtime-config/", "reads settings of the host"),
    ("wasi:logging/", "writes to a log of the host"),
    ("wasi:nn/", "runs neural networks of the host"),
    ("wasi:sql/", "talks to a database"),
    ("wasi:webgpu/", "computes on the host's graphics card"),
    ("wasi:threads/", "starts threads"),
    ("wasi:", "is an interface of WASI that this host does not have"),
    ("ops:capability/", "is an interface of the contract that this host does not know"),
];

const NOT_WASI_0_2: &str = "guests are WASI 0.2; build it for the target wasm32-wasip2";
const NO_SOCKETS: &str = "nothing grants sockets; a service is reached through `ops:capability/fetch`, by a name under \
                          `services:` in the binding";
const ONLY_HTTP_CLIENT: &str =
    "no grant stands for it; of `wasi:http` a guest gets `types` and `outgoing-handler`, to read services";
const NO_GRANT: &str = "no grant stands for it; a guest gets the standard library's plumbing, files, clocks and random \
                        bytes of WASI 0.2 and nothing else of WASI";
const OTHER_CONTRACT: &str =
    "this host speaks `ops:capability` 0.1; build the component with the matching `ops-guest`";
const UNKNOWN: &str = "this host knows no such interface, so nothing can grant it";

impl Interface {
    /// Looks up an import by its full name, such as `ops:capability/effects@0.1.0`. Any text has an answer.
    pub fn parse(import: &str) -> Self {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        let ours = name.starts_with("ops:capability/");
        if let Some((_, power, words)) = KNOWN.iter().find(|(known, ..)| *known == name) {
            let never = match ours {
                true if !version.starts_with("0.1.") => Some(OTHER_CONTRACT),
                false if !version.starts_with("0.2.") => Some(NOT_WASI_0_2),
                _ => None,
            };
            let class = match (never, power) {
                (Some(_), _) => Class::Never,
                (None, Some(_)) => Class::Power,
                (None, None) => Class::Inert,
            };
            return Self { class, power: power.filter(|_| never.is_none()), words, never };
        }
        let words = REFUSED
            .iter()
            .find(|(refused, _)| match refused.ends_with(['/', ':']) {
                true => name.starts_with(refused),
                false => name == *refused,
            })
            .map_or("is nothing that this host knows, so nobody can say what it does", |(_, words)| words);
        let never = match name {
            _ if name.starts_with("wasi:sockets/") => NO_SOCKETS,
            _ if name.starts_with("wasi:http/") => ONLY_HTTP_CLIENT,
            _ if name.starts_with("wasi:") => NO_GRANT,
            _ if ours && !version.starts_with("0.1.") => OTHER_CONTRACT,
            _ => UNKNOWN,
        };
        Self { class: Class::Never, power: None, words, never: Some(never) }
    }

    /// The names, without versions, of every interface that a guest may get.
    pub fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, ..)| *name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_class_has_its_interfaces() {
        for (import, class) in [
            ("wasi:io/poll@0.2.6", Class::Inert),
            ("wasi:filesystem/types@0.2.0", Class::Inert),
            ("ops:capability/report@0.1.0", Class::Inert),
            ("ops:capability/fetch@0.1.0", Class::Power),
            ("ops:capability/effects@0.1.3", Class::Power),
            ("ops:capability/invoke@0.1.0", Class::Power),
            ("wasi:http/types@0.2.4", Class::Power),
            ("wasi:http/outgoing-handler@0.2.12", Class::Power),
            ("wasi:http/incoming-handler@0.2.4", Class::Never),
            ("wasi:sockets/tcp@0.2.6", Class::Never),
            ("wasi:keyvalue/store@0.2.0", Class::Never),
            ("wasi:io/poll@0.3.0", Class::Never),
            ("wasi:io/poll", Class::Never),
            ("ops:capability/effects@0.2.0", Class::Never),
            ("ops:capability/effects", Class::Never),
            ("ops:capability/secrets@0.1.0", Class::Never),
            ("ops:capability-x/fetch@0.1.0", Class::Never),
            ("env", Class::Never),
            ("", Class::Never),
        ] {
            let interface = Interface::parse(import);
            assert_eq!(interface.class, class, "{import}");
            assert_eq!(interface.power.is_some(), class == Class::Power, "{import}");
            assert_eq!(interface.never.is_some(), class == Class::Never, "{import}");
        }
    }

    #[test]
    fn the_nearest_sentence_is_said() {
        for (import, words) in [
            ("wasi:sockets/tcp@0.2.6", "connects and listens"),
            ("wasi:sockets/network@0.2.6", "sockets of the host's network"),
            ("wasi:tls/client@0.2.0-draft", "speaks TLS by itself"),
            ("wasi:io/poll@0.3.0", "waits for several things"),
            ("wasi:later/thing@0.2.9", "does not have"),
            ("ops:capability/secrets@0.1.0", "of the contract"),
            ("acme:db/query@1.0.0", "nothing that this host knows"),
        ] {
            assert!(Interface::parse(import).words.contains(words), "{import}");
        }
    }

    #[test]
    fn no_sentence_is_said_twice_or_ends_in_a_full_stop() {
        let words: Vec<_> = KNOWN.iter().map(|(.., words)| *words).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        let all = words.into_iter().chain(REFUSED.iter().map(|(_, words)| *words));
        for words in all {
            assert!(
                !words.ends_with('.') && words.starts_with(|first: char| first.is_lowercase()),
                "{words}"
            );
        }
    }

    proptest! {
        #[test]
        fn only_a_known_name_with_its_version_is_ever_linked(
            import in "(wasi|ops):[a-z]{0,10}(/[a-z-]{0,12})?(@0\\.[0-3]\\.[0-9])?|.{0,20}",
        ) {
            let interface = Interface::parse(&import);
            let name = import.split('@').next().unwrap_or_default();
            if interface.class != Class::Never {
                prop_assert!(Interface::known().any(|known| known == name));
            }
        }
    }
}
