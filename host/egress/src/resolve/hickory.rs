//! The resolver: `/etc/hosts` first, then the name servers of `/etc/resolv.conf`, one after the other.
//!
//! Both files are read at each look-up, so that a host that runs for weeks follows the machine from network to
//! network, and nothing of one look-up is left for the next: no cache, no connection. A name is taken as it is
//! written; no search domain is ever tried, because `mail.example` may not become `mail.example.corp` for whoever
//! owns that. A name server is believed, also when it says that there is no such name; the next one is asked only if
//! it fails or is silent.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use tokio::time::timeout;

use super::Lookup;

/// How much of a hosts file is read, in bytes. Long lists of blocked names are a few megabytes.
const MOST_HOSTS_BYTES: u64 = 16 << 20;

/// How many name servers are asked at most, as the C library does it.
const MOST_SERVERS: usize = 3;

/// How many aliases are followed within an answer.
const MOST_ALIASES: usize = 16;

/// Looks names up in the hosts file and in the DNS.
#[derive(Clone, Debug)]
pub struct Hickory {
    hosts: PathBuf,
    /// The name server, where it is not for the system to say.
    server: Option<SocketAddr>,
}

impl Default for Hickory {
    /// As this system has it: `/etc/hosts` and `/etc/resolv.conf`. Neither is read before the first look-up.
    fn default() -> Self {
        Self { hosts: PathBuf::from("/etc/hosts"), server: None }
    }
}

impl Hickory {
    /// With a hosts file and a name server of one's own, for tests.
    pub fn with(hosts: PathBuf, server: SocketAddr) -> Self {
        Self { hosts, server: Some(server) }
    }

    async fn look_up(&self, host: &str, until: Instant) -> io::Result<Vec<IpAddr>> {
        let mut name = Name::from_ascii(host).map_err(|_| failed("it is not a name that DNS can hold"))?;
        name.set_fqdn(true);
        let known = self.in_hosts(host, &name)?;
        if !known.is_empty() {
            return Ok(known);
        }
        // RFC 6761: such names mean this machine, and no name server has a say in it.
        if host == "localhost" || host.ends_with(".localhost") {
            return Err(failed(
                "names under `localhost` are looked up in /etc/hosts only, and it is not there",
            ));
        }
        let mut last = failed("/etc/resolv.conf names no name server");
        let servers = self.servers()?;
        let mut left = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        for server in servers {
            // As with addresses: the time that is left is shared out, so that a silent one leaves some for the next.
            let share = until.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            last = match timeout(share, ask(server, &name, share)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) if error.kind() == ErrorKind::NotFound => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => silent(),
            };
        }
        Err(last)
    }

    /// What the hosts file says of a name. Where it has one address of it, it is not asked elsewhere for others.
    fn in_hosts(&self, host: &str, name: &Name) -> io::Result<Vec<IpAddr>> {
        let mut bytes = Vec::new();
        match File::open(&self.hosts) {
            Ok(file) => file.take(MOST_HOSTS_BYTES).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // Only the lines that may name it are parsed: there can be a hundred thousand others.
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let lines: String =
            text.lines().filter(|line| line.contains(host)).flat_map(|line| [line, "\n"]).collect();
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(lines.as_bytes())?;
        let of_kind = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of_kind);
        Ok(found.flat_map(|lookup| addresses(name, lookup.answers())).collect())
    }

    fn servers(&self) -> io::Result<Vec<NameServerConfig>> {
        if let Some(server) = self.server {
            let at = |protocol| {
                let mut connection = ConnectionConfig::new(protocol);
                connection.port = server.port();
                connection
            };
            let connections = vec![at(ProtocolConfig::Udp), at(ProtocolConfig::Tcp)];
            return Ok(vec![NameServerConfig::new(server.ip(), true, connections)]);
        }
        let (config, _) = system_conf::read_system_conf()
            .map_err(|error| failed(format!("/etc/resolv.conf cannot be used: {error}")))?;
        Ok(config.name_servers().iter().take(MOST_SERVERS).cloned().collect())
    }
}

impl super::Resolve for Hickory {
    fn resolve<'a>(&'a self, host: &'a str, until: Instant) -> Lookup<'a> {
        Box::pin(self.look_up(host, until))
    }
}

/// Asks one name server for both kinds of addresses. IPv4 comes first: where IPv6 is broken it tends to be silent,
/// and where IPv4 is, the kernel says so at once.
async fn ask(server: NameServerConfig, name: &Name, share: Duration) -> io::Result<Vec<IpAddr>> {
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let mut resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *resolver.options_mut() = options(share);
    let resolver = resolver.build().map_err(|error| failed(error.to_string()))?;
    let found = resolver.lookup_ip(name.clone()).await.map_err(explain)?;
    Ok(addresses(name, found.as_lookup().answers()))
}

fn options(share: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.ndots = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Within its time a question over UDP is sent again by itself. A server that answers for one kind of address and
    // is silent about the other is given up in time for the answer to be of use.
    options.attempts = 0;
    options.timeout = share * 3 / 4;
    options
}

/// The addresses of a name among records, through its aliases. What else a server puts into its answer is ignored.
fn addresses(name: &Name, records: &[Record]) -> Vec<IpAddr> {
    let mut names = vec![name];
    for _ in 0..MOST_ALIASES {
        let next = records.iter().find_map(|record| match &record.data {
            RData::CNAME(alias) if names.contains(&&record.name) && !names.contains(&&alias.0) => {
                Some(&alias.0)
            }
            _ => None,
        });
        let Some(next) = next else { break };
        names.push(next);
    }
    let of_name = records.iter().filter(|record| names.contains(&&record.name));
    of_name.filter_map(|record| record.data.ip_addr()).collect()
}

fn failed(why: impl Into<String>) -> io::Error {
    io::Error::other(why.into())
}

fn silent() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no name server answered in time")
}

/// `NotFound` is an answer that is final; anything else is a server that could not say.
fn explain(error: NetError) -> io::Error {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
            io::Error::new(ErrorKind::NotFound, "the name server says that there is no such name")
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
            io::Error::new(ErrorKind::NotFound, "the name server says that the name has no address")
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => refused(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => refused(code),
        NetError::Timeout => silent(),
        NetError::Io(error) => failed(format!("the name server cannot be reached: {}", error.kind())),
        _ => failed("the name server's answer is malformed"),
    }
}

fn refused(code: ResponseCode) -> io::Error {
    failed(format!("the name server failed: {code}"))
}

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
