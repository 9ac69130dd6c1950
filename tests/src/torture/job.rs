//! What an operator asks for in the torture tests: a machine of a test guest, whose run changes files too, or a virtual
//! machine of `infra.vm.provision`.

use crate::scratch::{Scratch, repository};

/// The contracts of a provision, as the repository has them.
const CONTRACTS: [&str; 3] =
    ["infra.relocation.plan.yaml", "infra.vm.profiles.yaml", "infra.placement.policy.yaml"];

/// The requests that set up a machine of the test guest, below its path.
const STEPS: [(&str, &str); 3] = [("POST", "clone"), ("PUT", "config"), ("POST", "start")];

/// The requests that make a virtual machine, below the path of its node.
const PROVISION: [(&str, &str); 4] = [
    ("POST", "qemu/9000/clone"),
    ("PUT", "qemu/214/config"),
    ("PUT", "qemu/214/resize"),
    ("POST", "qemu/214/status/start"),
];

/// One thing that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The words that ask for it.
    pub words: Vec<String>,
    /// The requests that it needs, in their order, as method and path.
    pub changes: Vec<String>,
    /// The file that it leaves, below the workspace, and what that says. Nothing where it leaves none.
    pub file: Option<(String, &'static str)>,
}

impl Job {
    /// A machine of the test guest, and a note about it where `note` is not empty.
    pub fn machine(name: &str, note: &'static str) -> Self {
        let words = ["cap", "run", "test.guest.sets-up", "--machine", name, "--note", note];
        Self {
            words: words.map(str::to_owned).into(),
            changes: STEPS.map(|(method, step)| format!("{method} /machines/{name}/{step}")).into(),
            file: (!note.is_empty()).then(|| (format!("ops/state/notes/{name}.txt"), note)),
        }
    }

    /// The virtual machine 214 of the repository's contracts.
    pub fn provision() -> Self {
        let words =
            "cap run infra.vm.provision --target communications-stack --profile spine-ready-v1 --vm-id 214";
        Self {
            words: words.split(' ').map(str::to_owned).collect(),
            changes: PROVISION.map(|(method, path)| format!("{method} /api2/json/nodes/pve1/{path}")).into(),
            file: None,
        }
    }

    /// Whether the host repeats a step, by its number from 1, without asking: it is a PUT.
    pub fn is_repeatable(&self, step: usize) -> bool {
        self.changes[step - 1].starts_with("PUT ")
    }
}

/// Binds both capabilities to a server; `lines` are more lines for the test guest's binding.
pub(super) fn bind(scratch: &Scratch, origin: &str, lines: &str) {
    std::fs::create_dir_all(scratch.path("ops/state/notes")).unwrap();
    scratch.place("guest-sets-up");
    let service = format!("    origin: {origin}\n    addresses: [127.0.0.1/32]\n    rules:\n");
    let mut binding = format!(
        "capability: test.guest.sets-up\n\
         component: components/guest_sets_up.wasm\n\
         safety: mutating\n\
         approval: {{mode: manual}}\n{lines}\
         directories: {{notes: {{path: state/notes, access: stage}}}}\n\
         services:\n  web:\n{service}\
         \x20     - {{id: there, method: GET, path: \"/machines/{{machine}}\", effect: read}}\n\
         \x20     - {{id: task, method: GET, path: \"/machines/{{machine}}/task\", effect: read}}\n"
    );
    for (method, step) in STEPS {
        let path = format!("/machines/{{machine}}/{step}");
        binding.push_str(&format!(
            "      - {{id: {step}, method: {method}, path: \"{path}\", effect: mutate}}\n"
        ));
    }
    scratch.write_binding(&binding);

    scratch.place("infra-vm-provision");
    for contract in CONTRACTS {
        let text = std::fs::read_to_string(repository().join("ops/bindings").join(contract)).unwrap();
        scratch.write(&format!("ops/bindings/{contract}"), &text);
    }
    let vm = "/api2/json/nodes/pve1/qemu/{vmid}";
    let mut binding = format!(
        "capability: infra.vm.provision\n\
         component: components/infra_vm_provision.wasm\n\
         safety: mutating\n\
         approval: {{mode: manual}}\n\
         contracts: [{}]\n\
         lock: \"pve/{{vm_id}}\"\n\
         services:\n  pve:\n{service}\
         \x20     - {{id: free, method: GET, path: /api2/json/cluster/nextid, query: [vmid], effect: read}}\n\
         \x20     - {{id: settings, method: GET, path: \"{vm}/config\", effect: read}}\n\
         \x20     - {{id: state, method: GET, path: \"{vm}/status/current\", effect: read}}\n\
         \x20     - {{id: task, method: GET, path: \"/api2/json/nodes/pve1/tasks/{{upid}}/status\", effect: read}}\n",
        CONTRACTS.join(", ")
    );
    for (number, (method, path)) in PROVISION.iter().enumerate() {
        binding.push_str(&format!(
            "      - {{id: step{number}, method: {method}, path: /api2/json/nodes/pve1/{path}, effect: mutate}}\n"
        ));
    }
    scratch.write_binding(&binding);
    scratch.pin();
}
