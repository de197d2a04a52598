//! What parameters of files are worth, and what the `workspace` block says. Both are known before any body
//! is read, since they decide what there is.

use std::collections::BTreeMap;

use crate::base::suggest::{self, ticked};
use crate::base::tree_path::TreePath;
use crate::lang::Request;
use crate::lang::code::Code;
use crate::lang::decl::{self, param};
use crate::lang::declare::{Declare, possible_name, taken};
use crate::lang::files::Files;
use crate::lang::interpolate::Plain;
use crate::lang::mistake::{Mistake, shorten};
use crate::lang::scope::ScopeId;
use crate::lang::settings::{ProfileParam, Workspace};
use crate::lang::syntax::{Node, Value};

impl<'a> Declare<'a, '_> {
    pub(super) fn parameters(&mut self) {
        let params = std::mem::take(&mut self.params);
        for (scope, node) in &params {
            self.parameter(*scope, node);
        }
        self.unknown_flags(&params);
    }

    fn parameter(&mut self, scope: ScopeId, node: &'a Node) {
        let item = self.read(scope, &param::LINE, node);
        let Some(name) = item.text().and(node.name()) else {
            self.world.scopes[scope.0].ghosts.extend(possible_name(node));
            return;
        };
        if let Some(first) = self.declared.get(&(scope, name)) {
            self.findings.add(taken("parameters", name, first.name_span(), node.name_span()));
            return;
        }
        self.declared.insert((scope, name), node);
        let value = self.value(scope, &item, node, name);
        self.world.scopes[scope.0].params.insert(name, value);
    }

    fn unknown_flags(&mut self, params: &[(ScopeId, &'a Node)]) {
        for flag in self.world.request.params {
            let known: Vec<&str> = params
                .iter()
                .filter(|(scope, _)| self.world.scope(*scope).package == flag.package)
                .filter_map(|(_, node)| node.name())
                .collect();
            if known.contains(&flag.name.as_str()) {
                continue;
            }
            let help = match known.as_slice() {
                [] => "the file declares none: remove the flag".to_owned(),
                known => suggest::help(&flag.name, known, |name| format!("`--param {name}=…`"), "parameters"),
            };
            let message = format!("there is no parameter `{}`", shorten(&flag.name));
            self.findings.add(Mistake::new(Code::ParamUnknown, message, help));
        }
    }

    /// Before any node is read, since policies hold for what they say.
    pub(super) fn settings(&mut self) {
        let workspace = match self.workspace {
            Some((scope, node)) => {
                let item = self.read(scope, &decl::workspace::LINE, node);
                decl::workspace::read(&item, self.findings)
            }
            None => Workspace::default(),
        };
        self.world.settings = workspace.settle(self.world.request.profile).unwrap_or_else(|mistake| {
            self.findings.add(*mistake);
            workspace.base
        });
        self.undeclared();
    }

    /// Parameters that a profile gives a value, and the root file doesn't have.
    fn undeclared(&mut self) {
        let Some(root) = self.world.root() else { return };
        let declared = &self.world.scope(root).params;
        for (name, param) in &self.world.profile_params {
            if !declared.contains_key(name.as_str()) && !self.findings.is_full() {
                let known: Vec<&str> = declared.keys().copied().collect();
                let message = format!("there is no parameter `{}`", shorten(name));
                let help = suggest::help(name, &known, ticked, "parameters of the root file");
                let mistake = Mistake::new(Code::ParamUnknown, message, help);
                self.findings.add(mistake.at(param.span.clone(), "given a value here"));
            }
        }
    }
}

/// What the chosen profile of the root file gives to parameters. Read before anything else, since they decide
/// what there is; what is wrong with the lines is told when the block is read.
pub(super) fn of_profile(files: &Files, request: &Request<'_>) -> BTreeMap<String, ProfileParam> {
    let root = files.package(&TreePath::root()).and_then(|file| files.files[file].document.as_ref());
    let nodes = root.iter().flat_map(|document| &document.nodes).filter(|node| node.word == "workspace");
    let profiles = nodes.flat_map(Node::children).filter(|node| node.word == "profile");
    let chosen = profiles.filter(|node| node.name().is_some() && node.name() == request.profile);
    let lines = chosen.flat_map(Node::children).filter(|node| node.word == "param");
    lines
        .flat_map(Node::properties)
        .filter_map(|(key, entry)| {
            let value = match &entry.value {
                Value::Text(text) => Plain::Text(text.clone()),
                Value::Int(number) => Plain::Int(i64::try_from(*number).ok()?),
                Value::Bool(truth) => Plain::Bool(*truth),
                Value::Float(_) | Value::Null => return None,
            };
            Some((key.text.clone(), ProfileParam { value, span: key.span.clone() }))
        })
        .collect()
}
