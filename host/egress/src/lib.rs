//! The one way out: resolves, checks, dials, encrypts, adds the credential and sends.
//!
//! Nothing else in `ops` opens a connection. What may be sent was decided before (`ops_policy` matched a rule and
//! rebuilt the request); this crate sees to it that the request arrives at the origin that the binding names and
//! nowhere else, that the credential goes to that origin only, and that the answer is bounded and holds no secret.
//!
//! One request takes these steps, each in the module of its name:
//!
//! 1. [`wire`] rebuilds the request; a malformed one ends here, before any name is looked up;
//! 2. [`resolve`] looks the name up, once;
//! 3. [`address`] drops every address that the binding does not allow;
//! 4. [`dial`] connects to exactly one of the addresses that are left;
//! 5. [`tls`] checks the server's certificate for the origin's host;
//! 6. [`send`] writes the request, reads the answer within its limits and scrubs it.
//!
//! There is no pool, no redirect, no proxy and no second credential: one call of [`send::Egress::send`] is at most one
//! connection and one request. Whether the caller should make another is for [`retry`] to say. Secrets are read by
//! [`secret`], those that Infisical keeps by [`infisical`], which goes through the same steps as everybody else.

pub mod address;
pub mod dial;
mod exchange;
pub mod infisical;
mod meter;
pub mod resolve;
pub mod retry;
pub mod scrub;
pub mod secret;
pub mod send;
pub mod tls;
pub mod wire;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Where a file of this crate, tests left out, opens a connection or a socket.
    fn openers(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                openers(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            let is_test = name.contains("tests") || name.ends_with("hickory/server.rs");
            let opens = [
                "TcpStream::connect",
                "TcpSocket",
                "UdpSocket",
                "UnixStream",
                "lookup_host",
                "TokioResolver",
            ];
            if !is_test && opens.iter().any(|word| code.contains(word)) {
                found.push(name);
            }
        }
    }

    /// A second way out would be a way around the checks of the first.
    #[test]
    fn one_place_connects_and_one_looks_names_up() {
        let mut found = Vec::new();
        openers(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.sort();
        assert_eq!(found, ["src/dial.rs", "src/resolve/hickory.rs"]);
    }
}
