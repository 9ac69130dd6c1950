//! Reading one secret from Infisical.
//!
//! Two requests, both through the one door ([`Egress::send`]): the machine identity's client id and secret are shown
//! (universal auth), and what comes back as an access token is used once, for one secret. The client secret is
//! written into the body as every body secret is, the token into a header as every credential is; neither is in any
//! error. Nothing is kept between two reads: a token that lives longer than its use is one more thing to steal.
//!
//! Paths, fields and query keys are those of the vendor's own Python client (`infisicalsdk` 1.0.17), which asks the
//! `v3/secrets/raw` endpoints.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use ipnet::IpNet;
use ops_policy::body::PLACEHOLDER;
use ops_policy::message::{Header, NetError, WireRequest};
use ops_policy::origin::Origin;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::secret::{Secret, SecretError, is_plain};
use crate::send::{Budget, Egress, Filling, SendError, Sent, Target};
use crate::tls::Trust;
use crate::wire::Credential;

/// The largest answer, in bytes.
const MOST_ANSWER_BYTES: u64 = 64 * 1024;

/// The most parts of a place, and the most bytes.
const MOST_PARTS: usize = 16;
const MOST_PLACE_BYTES: usize = 512;

/// The server, and who we are to it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Where it lives.
    pub origin: &'a Origin,
    /// Ranges that may be dialled although they are not globally routable.
    pub addresses: &'a [IpNet],
    /// Whose word is taken for who the server is.
    pub trust: Trust<'a>,
    /// The machine identity's client id.
    pub client_id: &'a str,
}

/// Where in Infisical a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The project: its id (a UUID, or 24 hex digits in old installations) or else its slug.
    pub project: String,
    /// The environment's slug.
    pub environment: String,
    /// The folders on the way, outermost first.
    pub folders: Vec<String>,
    /// The secret's own name.
    pub name: String,
}

impl Place {
    /// Parses `PROJECT/ENVIRONMENT/NAME`, with folders before the name where there are some.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let fits = |part: &&str| !matches!(*part, "" | "." | "..") && is_plain(part);
        if text.len() > MOST_PLACE_BYTES || parts.len() > MOST_PARTS || !parts.iter().all(fits) {
            return None;
        }
        let [project, environment, folders @ .., name] = parts.as_slice() else { return None };
        Some(Self {
            project: (*project).to_owned(),
            environment: (*environment).to_owned(),
            folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
            name: (*name).to_owned(),
        })
    }

    /// The request target that reads it, with the vendor's own defaults spelled out.
    fn target(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let project = if is_id(&self.project) { "workspaceId" } else { "workspaceSlug" };
        format!(
            "/api/v3/secrets/raw/{}?{project}={}&viewSecretValue=true&environment={}&secretPath={}\
             &expandSecretReferences=true&include_imports=true",
            encoded(&self.name),
            encoded(&self.project),
            encoded(&self.environment),
            encoded(&format!("/{}", self.folders.join("/"))),
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.project, self.environment)?;
        for folder in &self.folders {
            write!(f, "{folder}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Whether a project is named by its id and not by its slug.
fn is_id(project: &str) -> bool {
    let hex: Vec<usize> = project
        .split('-')
        .map(|part| if part.bytes().all(|byte| byte.is_ascii_hexdigit()) { part.len() } else { 0 })
        .collect();
    matches!(hex.as_slice(), [24] | [8, 4, 4, 4, 12])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    access_token: String,
}

#[derive(Deserialize)]
struct Found {
    secret: FoundSecret,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundSecret {
    secret_value: String,
    /// Set where the identity may know that the secret is there, but not its value; a placeholder stands for it.
    #[serde(default)]
    secret_value_hidden: bool,
}

/// One request to Infisical and what came of it, for the audit log. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path without the query. It names the secret that was asked for.
    pub path: String,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// HTTP bytes that were sent, the head included.
    pub sent: u64,
    /// HTTP bytes that were received, the head included.
    pub received: u64,
    /// The answer's status; `None` where there is no whole answer.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub failure: Option<NetError>,
}

/// Reads one secret. `name` is what `ops.yaml` calls it. What was sent on the way comes back whatever the end, in its
/// order: at most a login and a request for the secret.
///
/// # Errors
///
/// The server cannot be reached, does not take the client id and secret, has no such secret or does not show it, or
/// answers otherwise than expected; or the value cannot be used as a secret.
pub async fn read(
    egress: &Egress,
    server: &Server<'_>,
    name: &str,
    client_secret: &Secret,
    place: &Place,
    deadline: Instant,
) -> (Result<Secret, SecretError>, Vec<Exchange>) {
    let mut reading = Reading { egress, server, deadline, exchanges: Vec::new() };
    let outcome = reading.secret(name, client_secret, place).await;
    let from = format_args!("infisical:{place}").to_string();
    (outcome.map_err(|why| SecretError::new(name, &from, why)), reading.exchanges)
}

/// The way to one secret.
struct Reading<'a> {
    egress: &'a Egress,
    server: &'a Server<'a>,
    deadline: Instant,
    exchanges: Vec<Exchange>,
}

impl Reading<'_> {
    async fn secret(&mut self, name: &str, client_secret: &Secret, place: &Place) -> Result<Secret, String> {
        let token = self.log_in(client_secret).await?;
        self.ask(name, &token, place).await
    }

    async fn log_in(&mut self, client_secret: &Secret) -> Result<Secret, String> {
        let body = json!({"clientId": self.server.client_id, "clientSecret": PLACEHOLDER}).to_string();
        let request = WireRequest {
            method: "POST".to_owned(),
            target: "/api/v1/auth/universal-auth/login".to_owned(),
            headers: vec![header("accept"), header("content-type")],
            body: Some(body.into_bytes()),
        };
        let fillings = [Filling { at: "/clientSecret", secret: client_secret }];
        let target = Target { fillings: &fillings, ..target(self.server) };
        let (status, body) = self.send(&target, &request).await?;
        match status {
            200 => {}
            400 | 401 | 403 | 404 => {
                return Err(format!(
                    "Infisical does not take the client id with the secret `{}` ({status}); check `infisical:` in \
                     ops.yaml",
                    client_secret.name()
                ));
            }
            _ => return Err(format!("Infisical answered {status} to the login")),
        }
        let login: Login =
            serde_json::from_slice(&body).map_err(|_| "Infisical's answer to the login is not understood")?;
        let token = Zeroizing::new(login.access_token.into_bytes());
        Secret::checked("infisical-access-token", token)
            .map_err(|why| format!("the access token that Infisical gave {why}"))
    }

    async fn ask(&mut self, name: &str, token: &Secret, place: &Place) -> Result<Secret, String> {
        let request = WireRequest {
            method: "GET".to_owned(),
            target: place.target(),
            headers: vec![header("accept")],
            body: None,
        };
        let credential = Credential { header: "authorization", form: "Bearer {}", secret: token };
        let target = Target { credential: Some(credential), ..target(self.server) };
        let (status, body) = self.send(&target, &request).await?;
        match status {
            200 => {}
            401 | 403 => {
                return Err(format!("Infisical does not let this machine identity read it ({status})"));
            }
            404 => {
                return Err(
                    "Infisical has no secret of this name in this project, environment and folder".to_owned()
                );
            }
            _ => return Err(format!("Infisical answered {status}")),
        }
        // The parser's own words are not shown: they may repeat the value.
        let found: Found =
            serde_json::from_slice(&body).map_err(|_| "Infisical's answer is not understood")?;
        let value = Zeroizing::new(found.secret.secret_value.into_bytes());
        if found.secret.secret_value_hidden {
            return Err("Infisical does not let this machine identity see its value".to_owned());
        }
        Secret::checked(name, value)
    }

    /// Sends a request, notes what came of it, and takes the body out of the answer, to be wiped after use.
    async fn send(
        &mut self,
        target: &Target<'_>,
        request: &WireRequest,
    ) -> Result<(u16, Zeroizing<Vec<u8>>), String> {
        let budget = Budget { deadline: self.deadline, response: MOST_ANSWER_BYTES };
        let outcome = self.egress.send(target, request, &budget).await;
        self.exchanges.push(exchange(request, &outcome));
        let sent = outcome.map_err(|error| error.to_string())?;
        Ok((sent.response.status, Zeroizing::new(sent.response.body)))
    }
}

fn exchange(request: &WireRequest, outcome: &Result<Sent, SendError>) -> Exchange {
    let method = request.method.clone();
    let path = request.target.split('?').next().unwrap_or_default().to_owned();
    match outcome {
        Ok(sent) => Exchange {
            method,
            path,
            address: Some(sent.address),
            sent: sent.bytes_sent,
            received: sent.bytes_received,
            status: Some(sent.response.status),
            failure: None,
        },
        Err(error) => Exchange {
            method,
            path,
            address: error.address,
            sent: error.bytes_sent,
            received: error.received,
            status: None,
            failure: Some(error.error.clone()),
        },
    }
}

fn header(name: &str) -> Header {
    Header { name: name.to_owned(), value: "application/json".to_owned() }
}

fn target<'a>(server: &Server<'a>) -> Target<'a> {
    Target {
        service: "infisical",
        origin: server.origin,
        addresses: server.addresses,
        trust: server.trust,
        credential: None,
        fillings: &[],
        mask: &[],
    }
}

#[cfg(test)]
mod tests;
