//! `require:` of `ops.yaml`: what must be so on a host before anything of the workspace runs there.

use serde::Deserialize;

use crate::manifest::Safety;
use crate::yaml::{self, At, Wrong};

/// The longest user name. Linux takes no longer one.
const USER_BYTES: usize = 32;

/// What must be so on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    /// Guests run only where the kernel confines them with Landlock.
    pub landlock: bool,
    /// The user that everything here belongs to and runs as: agents and whoever asks them have other users. This is
    /// the deployment *separate user*.
    pub user: Option<String>,
    /// The least severe class of capabilities that run only with a valid review; none where reviews are not asked for.
    pub review: Option<Safety>,
}

impl Require {
    /// Whether what may do as much as this runs only with a valid review.
    pub fn needs_review(&self, safety: Safety) -> bool {
        self.review.is_some_and(|least| safety >= least)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map, such as {landlock: true, user: ops}")]
pub(super) struct Written {
    #[serde(default)]
    landlock: bool,
    #[serde(default, deserialize_with = "yaml::present")]
    user: Option<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    review: Option<Safety>,
}

impl Written {
    pub(super) fn check(self) -> Result<Require, Wrong> {
        if let Some(user) = &self.user {
            let name = &user.value;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || name.len() > USER_BYTES || name.starts_with('-') || !name.bytes().all(plain)
            {
                return Err(Wrong::at(user, "this is not the name of a user")
                    .hint("write the name of the account that ops runs as, such as ops"));
            }
        }
        Ok(Require { landlock: self.landlock, user: self.user.map(|user| user.value), review: self.review })
    }
}
