//! Which capabilities a caller sees: globs over their names.
//!
//! `*` stands for any text, dots included. So `communications.*` is a whole domain and `*.status` every status. No
//! glob at all means every capability.

use ops_policy::visible;

/// The most globs of one caller.
const MOST: usize = 100;
/// The longest glob, in bytes: one more than the longest name would do.
const LONGEST: usize = 128;

/// Which capabilities a caller sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only(Vec<String>);

impl Only {
    /// Takes globs over. An empty list means every capability.
    ///
    /// # Errors
    ///
    /// There are too many, or one is none: a glob has the letters of a capability's name, and `*`.
    pub fn new(globs: Vec<String>) -> Result<Self, String> {
        if globs.len() > MOST {
            return Err(format!("there are {} globs; at most {MOST} are taken", globs.len()));
        }
        let is_good = |glob: &String| {
            let letter =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-*".contains(&byte);
            !glob.is_empty() && glob.len() <= LONGEST && glob.bytes().all(letter)
        };
        match globs.iter().find(|glob| !is_good(glob)) {
            None => Ok(Self(globs)),
            Some(glob) => Err(format!(
                "`{}` fits no capability: write a name such as infra.vm.provision, with `*` for any text",
                visible::clip(&visible::visible(glob), LONGEST)
            )),
        }
    }

    /// Whether a capability is among them.
    pub fn admits(&self, capability: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|glob| fits(glob, capability))
    }

    /// The globs as they were given.
    pub fn globs(&self) -> &[String] {
        &self.0
    }
}

/// Whether a name fits a glob: its pieces between the stars are found one after the other, the first at the
/// beginning and the last at the end.
fn fits(glob: &str, name: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("infra.vm.provision", "infra.vm.provision", true),
            ("infra.vm.provision", "infra.vm.provision2", false),
            ("infra.vm", "infra.vm.provision", false),
            ("communications.*", "communications.mail.search", true),
            ("communications.*", "communications2.mail.search", false),
            ("*.status", "communications.stack.status", true),
            ("*.status", "communications.status.all", false),
            ("*", "a.b", true),
            ("a*b*c", "a.b.b.c", true),
            ("a*b*c", "a.b.c.d", false),
            ("a*bc*c", "a.bc", false),
            ("**", "a.b", true),
        ] {
            assert_eq!(fits(glob, name), expected, "{glob} on {name}");
        }
        assert!(Only::default().admits("a.b"));
        let only = Only::new(vec!["a.*".into(), "b.c".into()]).unwrap();
        assert!(only.admits("a.x") && only.admits("b.c") && !only.admits("b.d"));
    }

    #[test]
    fn what_fits_nothing_is_refused() {
        for bad in ["", "A.b", "a b", "a_b", "ä", &"a".repeat(129)] {
            assert!(Only::new(vec![bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(Only::new(vec!["*".to_owned(); MOST + 1]).is_err());
    }

    /// The obvious recursive definition.
    fn reference(glob: &[u8], name: &[u8]) -> bool {
        match (glob.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                reference(rest, name) || (!name.is_empty() && reference(glob, &name[1..]))
            }
            (Some((g, rest)), Some((n, after))) => g == n && reference(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(glob in "[ab*]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(fits(&glob, &name), reference(glob.as_bytes(), name.as_bytes()));
        }
    }
}
