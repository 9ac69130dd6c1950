//! The checks of the contract: whether what it says is complete, makes sense, and agrees with the binding.

use std::collections::BTreeSet;

use communications_common::contract::{Contract, Mode, Port, SendTest, VmTarget};
use communications_common::{Lane, address};

use crate::checks::Checks;

/// The numbers that the hypervisor gives to virtual machines.
const VM_IDS: std::ops::RangeInclusive<u32> = 100..=999_999_999;
/// The longest label and the longest name of a host (RFC 1035, section 2.3.4), in bytes.
const LABEL: usize = 63;
const NAME: usize = 253;

pub(crate) fn check(contract: &Contract, lane: Lane, checks: &mut Checks) {
    checks.made("vm-target", complete(&contract.vm_target));
    checks.made("ports", ports(&contract.ports));
    checks.made("mailboxes", mailboxes(contract));
    checks.made("domain", domain(contract));
    checks.made("send-test", send_test(&contract.send_test, contract));
    checks.made("lane", agrees(contract.mode, lane));
}

/// The virtual machine in words; what is missing is a question mark.
pub(crate) fn vm_target(target: &VmTarget) -> String {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let vm_id = target.vm_id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    format!("{} (VM {vm_id}, profile {})", or_unknown(&target.hostname), or_unknown(&target.profile))
}

fn complete(target: &VmTarget) -> Result<String, String> {
    let hostname = target.hostname.as_deref().ok_or("vm_target has no hostname")?;
    let vm_id = target.vm_id.ok_or("vm_target has no vm_id")?;
    let profile = target.profile.as_deref().ok_or("vm_target has no profile")?;
    if !is_label(hostname) {
        return Err(format!("the hostname {hostname:?} is not one label of letters, digits and hyphens"));
    }
    if !VM_IDS.contains(&vm_id) {
        return Err(format!(
            "the vm_id {vm_id} does not lie between {} and {}",
            VM_IDS.start(),
            VM_IDS.end()
        ));
    }
    if profile.trim().is_empty() {
        return Err("vm_target has an empty profile".to_owned());
    }
    Ok(vm_target(target))
}

fn ports(ports: &[Port]) -> Result<String, String> {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for Port { name, port } in ports {
        if !(1..=65_535).contains(port) {
            return Err(format!("{name} has the port {port}, which there is not"));
        }
        if !names.insert(name) {
            return Err(format!("{name} is listed twice"));
        }
        if !numbers.insert(port) {
            return Err(format!("the port {port} is listed twice"));
        }
    }
    if ports.is_empty() {
        return Err("the contract lists no ports".to_owned());
    }
    Ok(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn mailboxes(contract: &Contract) -> Result<String, String> {
    let (mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for mailbox in &contract.mailboxes {
        if let Err(why) = address(&mailbox.address) {
            return Err(format!("the address of {}, {:?}, {why}", mailbox.id, mailbox.address));
        }
        if !ids.insert(&mailbox.id) {
            return Err(format!("the mailbox {} is listed twice", mailbox.id));
        }
        if !addresses.insert(mailbox.address.to_ascii_lowercase()) {
            return Err(format!("the address {} is listed twice", mailbox.address));
        }
    }
    if ids.is_empty() {
        return Err("the contract lists no mailboxes".to_owned());
    }
    Ok(ids.into_iter().cloned().collect::<Vec<_>>().join(", "))
}

fn domain(contract: &Contract) -> Result<String, String> {
    let domain = &contract.domain;
    if !is_domain(domain) {
        return Err(format!("{domain:?} is not the name of a domain"));
    }
    // What is no address at all is reported by the check of mailboxes.
    let elsewhere = contract.mailboxes.iter().find(|mailbox| {
        address(&mailbox.address).is_ok_and(|address| !address.domain().eq_ignore_ascii_case(domain))
    });
    match elsewhere {
        Some(mailbox) => Err(format!("{} does not lie in {domain}", mailbox.address)),
        None => Ok(domain.clone()),
    }
}

fn send_test(agreed: &SendTest, contract: &Contract) -> Result<String, String> {
    let SendTest { default_sender: sender, default_recipient: recipient, allowed_recipient_domains } = agreed;
    if !contract.mailboxes.iter().any(|mailbox| mailbox.address.eq_ignore_ascii_case(sender)) {
        return Err(format!("the default sender {sender:?} is no mailbox of the contract"));
    }
    let to = address(recipient).map_err(|why| format!("the default recipient {recipient:?} {why}"))?;
    if let Some(wrong) = allowed_recipient_domains.iter().find(|domain| !is_domain(domain)) {
        return Err(format!("the allowed domain {wrong:?} is not the name of a domain"));
    }
    if !allowed_recipient_domains.iter().any(|domain| domain.eq_ignore_ascii_case(to.domain())) {
        return Err(format!("the default recipient {recipient} lies in none of the allowed domains"));
    }
    Ok(format!("from {sender}, to {}", allowed_recipient_domains.join(", ")))
}

/// A contract that says one thing and a binding that does the other is what this check is for: somebody bound a mail
/// server before the stack was released, or released it and bound none.
fn agrees(mode: Mode, lane: Lane) -> Result<String, String> {
    let word = mode.as_str();
    match (mode, lane) {
        (Mode::SimulationOnly, Lane::Simulation) => Ok(format!("{word}, and no mail service is bound")),
        (Mode::LivePilot | Mode::Live, Lane::Live) => Ok(format!("{word}, and a mail service is bound")),
        (Mode::SimulationOnly, Lane::Live) => Err(format!(
            "the contract says {word}, but the binding maps a mail service; correct one and pin again"
        )),
        (Mode::LivePilot | Mode::Live, Lane::Simulation) => Err(format!(
            "the contract says {word}, but the binding maps no mail service; correct one and pin again"
        )),
    }
}

/// A name of a domain, with at least one dot: mail goes to no bare host.
fn is_domain(text: &str) -> bool {
    text.len() <= NAME && text.contains('.') && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=LABEL).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for (text, good) in [
            ("communications.local", true),
            ("mail.Example.test", true),
            ("local", false),
            ("", false),
            (".test", false),
            ("a..test", false),
            ("-a.test", false),
            ("a-.test", false),
            ("a b.test", false),
            ("exämple.test", false),
        ] {
            assert_eq!(is_domain(text), good, "{text}");
        }
        assert!(!is_domain(&format!("{}.test", "a".repeat(64))));
    }
}
