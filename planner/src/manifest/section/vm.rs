//! `[[vm]]`: processors and memory of a group's instances. Also written `[vm]`, `compute` and
//! `computes`.

use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Texts, show};
use crate::manifest::keys;
use crate::manifest::nearest::nearest;
use crate::manifest::node::{Node, Shape};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::quantity::Quantity;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::section::top;
use crate::manifest::written::{empty, given, texts};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// One entry of `[[vm]]`, or `[deploy.release_command_vm]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vm {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// A preset.
    #[serde(skip_serializing_if = "empty")]
    pub size: Option<At<String>>,
    /// A size; a bare number is MiB.
    #[serde(skip_serializing_if = "empty")]
    pub memory: Option<At<String>>,
    /// `shared` or `performance`.
    #[serde(skip_serializing_if = "empty")]
    pub cpu_kind: Option<At<String>>,
    /// Number of processors.
    #[serde(skip_serializing_if = "empty")]
    pub cpus: Option<At<i64>>,
    /// Memory in MiB.
    #[serde(skip_serializing_if = "empty")]
    pub memory_mb: Option<At<i64>>,
    /// Memory in MiB that may be grown to.
    #[serde(skip_serializing_if = "empty")]
    pub max_memory_mb: Option<At<i64>>,
    /// Number of GPUs.
    #[serde(skip_serializing_if = "empty")]
    pub gpus: Option<At<i64>>,
    /// Kind of GPUs.
    #[serde(skip_serializing_if = "empty")]
    pub gpu_kind: Option<At<String>>,
    /// Dedicated host.
    #[serde(skip_serializing_if = "empty")]
    pub host_dedication_id: Option<At<String>>,
    /// `never`, `restart` or `always`; empty for `none`.
    #[serde(skip_serializing_if = "empty")]
    pub persist_rootfs: Option<At<String>>,
    /// Arguments of the guest's kernel.
    #[serde(skip_serializing_if = "empty")]
    pub kernel_args: Option<At<Texts>>,
    /// The groups it is for; all when empty.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

/// What an instance is given, after presets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Where it is asked for.
    pub span: Span,
    /// Number of processors, at least 1.
    pub cpus: u32,
    /// Memory in MiB, at least 1.
    pub memory_mib: u64,
    /// `shared` or `performance`.
    pub cpu_kind: String,
    /// Number of GPUs.
    pub gpus: u32,
}

/// Name, kind of processors, their number, MiB of memory, GPUs.
const PRESETS: [(&str, &str, u32, u64, u32); 18] = [
    ("shared-cpu-1x", "shared", 1, 256, 0),
    ("shared-cpu-2x", "shared", 2, 512, 0),
    ("shared-cpu-4x", "shared", 4, 1024, 0),
    ("shared-cpu-6x", "shared", 6, 1536, 0),
    ("shared-cpu-8x", "shared", 8, 2048, 0),
    ("performance-1x", "performance", 1, 2048, 0),
    ("performance-2x", "performance", 2, 4096, 0),
    ("performance-4x", "performance", 4, 8192, 0),
    ("performance-6x", "performance", 6, 12288, 0),
    ("performance-8x", "performance", 8, 16384, 0),
    ("performance-10x", "performance", 10, 20480, 0),
    ("performance-12x", "performance", 12, 24576, 0),
    ("performance-14x", "performance", 14, 28672, 0),
    ("performance-16x", "performance", 16, 32768, 0),
    ("a10", "performance", 8, 32768, 1),
    ("l40s", "performance", 8, 32768, 1),
    ("a100-40gb", "performance", 8, 32768, 1),
    ("a100-80gb", "performance", 8, 32768, 1),
];

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Vec<Vm> {
    let rows = top::patched_rows(problems, root, &["compute", "computes", "vm"]);
    rows.into_iter().filter_map(|node| one(problems, node, "vm", true)).collect()
}

/// Reads one; only entries of `[[vm]]` may have their memory as a number.
pub(crate) fn one(
    problems: &mut Problems,
    node: Node<'_>,
    path: &str,
    patched: bool,
) -> Option<Vm> {
    let fields = Fields::of(problems, node, path, &keys::VM)?;
    let memory = match patched {
        true => fields.any_text(problems, "memory"),
        false => fields.text(problems, "memory"),
    };
    Some(Vm {
        span: fields.span,
        size: fields.text(problems, "size"),
        memory,
        cpu_kind: fields.text(problems, "cpu_kind"),
        cpus: fields.integer(problems, "cpus"),
        memory_mb: fields.integer(problems, "memory_mb"),
        max_memory_mb: fields.integer(problems, "max_memory_mb"),
        gpus: fields.integer(problems, "gpus"),
        gpu_kind: fields.text(problems, "gpu_kind"),
        host_dedication_id: fields.text(problems, "host_dedication_id"),
        persist_rootfs: persist(problems, &fields),
        kernel_args: fields.texts(problems, "kernel_args"),
        processes: fields.texts(problems, "processes"),
    })
}

const PERSIST: [&str; 4] = ["none", "never", "restart", "always"];

fn persist(problems: &mut Problems, fields: &Fields<'_>) -> Option<At<String>> {
    let node = fields.entry("persist_rootfs")?.node;
    let index = match node.shape {
        Shape::Text("") => Some(0),
        Shape::Text(text) => PERSIST.iter().position(|name| *name == text),
        Shape::Integer(number) => usize::try_from(number).ok(),
        _ => None,
    };
    match index.and_then(|index| PERSIST.get(index)) {
        // None is the zero value, which is not written.
        Some(&"none") => None,
        Some(name) => Some(At::new((*name).to_string(), node.span)),
        None => {
            let message = format!(
                "`{}` must be none, never, restart or always",
                fields.path_of("persist_rootfs")
            );
            fields.bad(problems, Code::BadValue, node.span, message);
            None
        }
    }
}

/// The rules of `[[vm]]`.
pub(crate) fn check(problems: &mut Problems, vms: &[Vm], groups: &GroupNames) {
    for vm in vms {
        guest(vm, problems);
        groups.warn_unknown(problems, "vm", vm.processes.as_ref(), "for nobody");
    }
    let entries: Vec<_> = vms.iter().map(|vm| (vm.span, texts(vm.processes.as_ref()))).collect();
    groups.warn_unused(problems, "vm", &entries, |group| {
        let chosen = for_group(vms, groups, group)?;
        vms.iter().position(|vm| core::ptr::eq(vm, chosen))
    });
}

/// The entry for a group: the last that names it, else the first that names none.
pub(crate) fn for_group<'a>(vms: &'a [Vm], groups: &GroupNames, group: &str) -> Option<&'a Vm> {
    let names = |vm: &Vm| texts(vm.processes.as_ref()).iter().any(|name| name.value == group);
    let fits = |vm: &&Vm| {
        let listed = texts(vm.processes.as_ref());
        listed.is_empty() || groups.matches(group, listed)
    };
    let named = vms.iter().rev().find(|vm| names(vm));
    named.or_else(|| vms.iter().find(fits))
}

/// What the entry comes to; problems where it comes to nothing.
pub(crate) fn guest(vm: &Vm, problems: &mut Problems) -> Option<Guest> {
    let gpu = given(vm.gpu_kind.as_ref()).is_some();
    let default = if gpu { "performance-8x" } else { "shared-cpu-1x" };
    let size = given(vm.size.as_ref()).map_or(default, |at| at.value.as_str());
    let Some(preset) = PRESETS.iter().find(|preset| preset.0 == size) else {
        let span = vm.size.as_ref().map_or(vm.span, |at| at.span);
        let message = format!("\"{}\" is not a size of machines", show(size));
        let hint = match nearest(size, PRESETS.iter().map(|preset| preset.0)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write shared-cpu-1x to 8x, or performance-1x to 16x".to_string(),
        };
        problems.add(Code::BadGuest, span, message).hint(hint);
        return None;
    };
    let mut memory = i64::try_from(preset.3).unwrap_or(i64::MAX);
    let mut place = vm.span;
    if let Some(text) = given(vm.memory.as_ref()) {
        place = text.span;
        match Quantity::Memory.parse(&text.value) {
            Ok(mib) => memory = mib,
            Err(error) => {
                let message = format!(
                    "`vm.memory` is \"{}\", which is not a size: {error}",
                    show(&text.value)
                );
                let hint = "write a number with a unit, such as \"512MB\"";
                problems.add(Code::BadGuest, text.span, message).hint(hint);
                return None;
            }
        }
    }
    if let Some(mib) = vm.memory_mb.as_ref().filter(|at| at.value != 0) {
        (memory, place) = (mib.value, mib.span);
    }
    let Some(memory_mib) = u64::try_from(memory).ok().filter(|mib| *mib > 0) else {
        let message = "a machine without memory cannot start";
        problems.add(Code::BadGuest, place, message).hint("write memory = \"256MB\" or more");
        return None;
    };
    let cpus = number(problems, "cpus", vm.cpus.as_ref(), preset.2)?;
    let gpus = number(problems, "gpus", vm.gpus.as_ref(), preset.4)?;
    let kind = given(vm.cpu_kind.as_ref()).map_or(preset.1, |at| at.value.as_str());
    Some(Guest { span: vm.span, cpus, memory_mib, cpu_kind: kind.to_string(), gpus })
}

fn number(problems: &mut Problems, key: &str, given: Option<&At<i64>>, or: u32) -> Option<u32> {
    let Some(given) = given.filter(|at| at.value != 0) else { return Some(or) };
    let number = u32::try_from(given.value).ok().filter(|number| *number <= 1024);
    if number.is_none() {
        let message = format!("`vm.{key}` must be 1 to 1024");
        problems.add(Code::BadGuest, given.span, message);
    }
    number
}
