//! Declarations → instances: each node once for each coordinate and platform that is asked for, read and
//! with its references resolved. Instances for other platforms come to be only where something needs them.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::base::tree_path::TreePath;
use crate::lang::alike;
use crate::lang::check::{self, Target};
use crate::lang::code::Code;
use crate::lang::cycle::Need;
use crate::lang::decl::Outputs;
use crate::lang::exports::{self, Exported};
use crate::lang::item::{Given, Item, Reference};
use crate::lang::matrix::{Coordinate, suffix};
use crate::lang::meant::Meant;
use crate::lang::mistake::{Findings, Label, Mistake};
use crate::lang::platform;
use crate::lang::read::Reader;
use crate::lang::scope::{DeclId, Env, World};
use crate::lang::table::Line;
use crate::oci::image::Platform;

/// Instances of all nodes: a bound for matrices and templates together.
const MOST: usize = 40_000;

/// A place in `Instances::all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub usize);

pub struct Instance {
    pub decl: DeclId,
    pub coordinate: Rc<Coordinate>,
    /// The target.
    pub platform: Platform,
    pub item: Item,
    pub outputs: Outputs,
    /// What each reference means, by its place.
    pub resolved: BTreeMap<usize, Resolved>,
    /// It was read to be looked through, or for a platform that the node does not have.
    pub is_absent: bool,
    /// A value in it may differ between platforms.
    pub asks_platform: bool,
}

/// What a reference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    Scratch,
    Host,
    /// From the workspace's root.
    Local(TreePath),
    Output {
        instance: InstanceId,
        output: String,
    },
    Poisoned,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    decl: DeclId,
    coordinate: Rc<Coordinate>,
    platform: Platform,
}

pub struct Instances<'w> {
    pub world: &'w World<'w>,
    pub all: Vec<Instance>,
    /// They refer to instances, and are none.
    pub exports: Vec<Exported>,
    by_key: HashMap<Key, InstanceId>,
    /// Platforms that a node says it has, in its coordinates.
    platforms: HashMap<(DeclId, Rc<Coordinate>), Vec<Platform>>,
    is_full: bool,
}

/// A reference and the line that it stands in.
struct Standing {
    line: &'static Line,
    has_path: bool,
    reference: Reference,
}

pub fn read<'w>(world: &'w World<'w>, findings: &mut Findings) -> (Instances<'w>, Vec<Need>) {
    let mut instances = Instances {
        world,
        all: Vec::new(),
        exports: Vec::new(),
        by_key: HashMap::new(),
        platforms: HashMap::new(),
        is_full: false,
    };
    for decl in (0..world.decls.len()).map(DeclId) {
        instances.of_declaration(decl, findings);
    }
    instances.exports = exports::read(&mut instances, findings);
    let mut needs = Vec::new();
    let mut next = 0;
    while next < instances.all.len() {
        instances.resolve(InstanceId(next), &mut needs, findings);
        next += 1;
    }
    (instances, needs)
}

impl<'w> Instances<'w> {
    pub fn get(&self, id: InstanceId) -> &Instance {
        &self.all[id.0]
    }

    /// `app[python=3.12]`, with the platform where that is not the usual one.
    pub fn name(&self, id: InstanceId) -> String {
        let instance = self.get(id);
        format!("{}{}", self.world.decl(instance.decl).label, suffix(&self.coordinate(id)))
    }

    /// The same node on the platform that the build is for, which was read first.
    pub fn usual(&self, id: InstanceId) -> InstanceId {
        let Instance { decl, coordinate, .. } = self.get(id);
        let platform = self.world.request.platform.clone();
        let key = Key { decl: *decl, coordinate: coordinate.clone(), platform };
        self.by_key.get(&key).copied().unwrap_or(id)
    }

    /// With the platform as an axis, where that is not the usual one.
    pub fn coordinate(&self, id: InstanceId) -> Coordinate {
        let instance = self.get(id);
        let mut coordinate = (*instance.coordinate).clone();
        if instance.platform != self.world.request.platform {
            coordinate.insert("platform".to_owned(), platform::short(&instance.platform));
        }
        coordinate
    }

    /// All instances of a declaration that a bare name means: every coordinate, on every platform it names.
    pub fn meant_by_name(&self, decl: DeclId, findings: &mut Findings) -> Vec<InstanceId> {
        let coordinates = self.world.coordinates(decl, findings);
        let mut found = Vec::new();
        for coordinate in &coordinates.all {
            let coordinate = Rc::new(coordinate.clone());
            for platform in self.platforms_of(decl, &coordinate) {
                let key = Key { decl, coordinate: coordinate.clone(), platform };
                let known = self.by_key.get(&key).copied();
                found.extend(known.filter(|id| !self.get(*id).is_absent));
            }
        }
        found
    }

    fn platforms_of(&self, decl: DeclId, coordinate: &Rc<Coordinate>) -> Vec<Platform> {
        match self.platforms.get(&(decl, coordinate.clone())) {
            Some(platforms) => platforms.clone(),
            None => vec![self.world.request.platform.clone()],
        }
    }

    fn of_declaration(&mut self, decl: DeclId, findings: &mut Findings) {
        let coordinates = self.world.coordinates(decl, findings);
        for coordinate in &coordinates.all {
            let coordinate = Rc::new(coordinate.clone());
            let usual = self.world.request.platform.clone();
            let Some(id) = self.request(decl, coordinate.clone(), usual.clone(), findings) else { return };
            let platforms: Vec<Platform> = {
                let lines = self.get(id).item.each("platforms");
                lines.flat_map(|line| line.arguments.iter().filter_map(Given::platform).cloned()).collect()
            };
            if platforms.is_empty() {
                continue;
            }
            self.all[id.0].is_absent |= !platforms.contains(&usual);
            self.platforms.insert((decl, coordinate.clone()), platforms.clone());
            for platform in platforms {
                self.request(decl, coordinate.clone(), platform, findings);
            }
        }
    }

    /// The instance, read if it was not yet. `None` where there are too many.
    fn request(
        &mut self,
        decl: DeclId,
        coordinate: Rc<Coordinate>,
        platform: Platform,
        findings: &mut Findings,
    ) -> Option<InstanceId> {
        let key = Key { decl, coordinate, platform };
        if let Some(known) = self.by_key.get(&key) {
            return Some(*known);
        }
        // Told at the end.
        if self.world.budget.is_spent() {
            return None;
        }
        let usual = self.by_key.get(&Key { platform: self.world.request.platform.clone(), ..key.clone() });
        if let Some(usual) = usual.filter(|usual| alike::is_source_for_all(self.get(**usual), self)) {
            return Some(*usual);
        }
        if self.is_full || self.all.len() == MOST {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("the build has more than {MOST} nodes, with all coordinates");
                let help = "give matrices fewer values";
                findings.add(Mistake::new(Code::GraphSize, message, help));
            }
            return None;
        }
        let instance = self.instance(&key, findings);
        let id = InstanceId(self.all.len());
        self.all.push(instance);
        self.by_key.insert(key, id);
        Some(id)
    }

    fn instance(&self, key: &Key, findings: &mut Findings) -> Instance {
        let world = self.world;
        world.asked_platform.set(false);
        let decl = world.decl(key.decl);
        let is_trial = world.scope(decl.scope).is_trial;
        let env = Env {
            scope: decl.scope,
            coordinate: &key.coordinate,
            platform: &key.platform,
            is_dead: is_trial,
        };
        let exists = world.exists(&decl.line, env);
        let env = Env { is_dead: is_trial || !exists, ..env };
        let item = findings.within(
            || self.trail(key),
            |findings| {
                let before = findings.count();
                if !is_trial {
                    world.untold(&decl.line, env).into_iter().for_each(|mistake| findings.add(mistake));
                }
                let mut item = Reader::new(world, env, findings).item(decl.declaration.line, decl.line.node);
                (decl.declaration.check)(&item, findings);
                item.whole &= findings.count() == before;
                item
            },
        );
        let outputs = (decl.declaration.outputs)(&item);
        Instance {
            decl: key.decl,
            coordinate: key.coordinate.clone(),
            platform: key.platform.clone(),
            item,
            outputs,
            resolved: BTreeMap::new(),
            is_absent: is_trial || !exists,
            asks_platform: world.asked_platform.get(),
        }
    }

    /// Which instance a mistake was found in, where there are several.
    fn trail(&self, key: &Key) -> Vec<Label> {
        let decl = self.world.decl(key.decl);
        let mut trail = Vec::new();
        let mut coordinate = (*key.coordinate).clone();
        if key.platform != self.world.request.platform {
            coordinate.insert("platform".to_owned(), platform::short(&key.platform));
        }
        if !coordinate.is_empty() {
            trail.push(Label::new(decl.line.node.name_span(), format!("in {}", suffix(&coordinate))));
        }
        trail.extend(self.world.trail(decl.scope));
        trail
    }

    /// References that lead to nothing for a reason that was told nowhere.
    pub fn unresolved(&self, findings: &mut Findings) {
        if !findings.is_empty() {
            return;
        }
        for instance in self.all.iter().filter(|instance| !instance.is_absent) {
            instance.item.walk(&mut |line| {
                for reference in line.all_references() {
                    if instance.resolved.get(&reference.place) == Some(&Resolved::Poisoned) {
                        let message = "what this names leads to nothing";
                        let mistake = Mistake::new(Code::RefUnknown, message, "name a node that exists");
                        let trail = || self.world.trail(reference.scope);
                        let span = reference.span.clone();
                        findings.within(trail, |findings| findings.add(mistake.at(span, "leads to nothing")));
                    }
                }
            });
        }
    }

    fn resolve(&mut self, id: InstanceId, needs: &mut Vec<Need>, findings: &mut Findings) {
        let mut standing = Vec::new();
        self.get(id).item.walk(&mut |line| {
            let has_path = line.property("path").is_some();
            for reference in line.all_references() {
                standing.push(Standing { line: line.line, has_path, reference: reference.clone() });
            }
        });
        let is_absent = self.get(id).is_absent;
        for Standing { line, has_path, reference } in standing {
            if findings.is_full() {
                return;
            }
            let resolved = self.reference(id, line, has_path, &reference, findings);
            if let Resolved::Output { instance, .. } = &resolved
                && !is_absent
            {
                needs.push(Need { from: id, to: *instance, span: reference.span.clone() });
            }
            self.all[id.0].resolved.insert(reference.place, resolved);
        }
    }

    fn reference(
        &mut self,
        id: InstanceId,
        line: &'static Line,
        has_path: bool,
        reference: &Reference,
        findings: &mut Findings,
    ) -> Resolved {
        let usual = self.world.request.platform.clone();
        let platform = if reference.is_for_build { usual } else { self.get(id).platform.clone() };
        let is_absent = self.get(id).is_absent;
        let found = self.look(reference, &platform, is_absent, findings);
        let result = match found {
            Ok(target) => check::reference(self, line, has_path, reference, target),
            Err(mistake) => Err(mistake),
        };
        result.unwrap_or_else(|mistake| {
            findings.within(|| self.trail_of_reference(id, reference), |findings| findings.add(*mistake));
            Resolved::Poisoned
        })
    }

    /// What the reference of a line means that stands in no node.
    pub fn of_line(
        &mut self,
        item: &Item,
        reference: &Reference,
        is_absent: bool,
        findings: &mut Findings,
    ) -> Resolved {
        let usual = self.world.request.platform.clone();
        let has_path = item.property("path").is_some();
        let found = self.look(reference, &usual, is_absent, findings);
        let found = found.and_then(|target| check::reference(self, item.line, has_path, reference, target));
        found.unwrap_or_else(|mistake| {
            findings.add(*mistake);
            Resolved::Poisoned
        })
    }

    /// The line's own way here, then the node's.
    fn trail_of_reference(&self, id: InstanceId, reference: &Reference) -> Vec<Label> {
        let instance = self.get(id);
        let key = Key {
            decl: instance.decl,
            coordinate: instance.coordinate.clone(),
            platform: instance.platform.clone(),
        };
        let mut trail = self.world.trail(reference.scope);
        for label in self.trail(&key) {
            if !trail.contains(&label) {
                trail.push(label);
            }
        }
        trail
    }

    fn look(
        &mut self,
        reference: &Reference,
        platform: &Platform,
        is_absent: bool,
        findings: &mut Findings,
    ) -> Result<Target, Box<Mistake>> {
        let world = self.world;
        let env =
            Env { scope: reference.scope, coordinate: &reference.coordinate, platform, is_dead: is_absent };
        let meant = world.meant(&reference.label, env).map_err(|mistake| {
            let label = match mistake.code {
                Code::RefPrivate => "may not be named here",
                Code::RefPackage | Code::FileRead => "no such package",
                _ => "not known",
            };
            Box::new(mistake.first_at(reference.span.clone(), label))
        })?;
        Ok(match meant {
            Meant::Scratch => Target::Scratch,
            Meant::Host => Target::Host,
            Meant::Local(path) => Target::Local(path),
            Meant::Poisoned => Target::Poisoned,
            Meant::Group { .. } => Target::Group,
            Meant::Several(_) => Target::Several,
            Meant::Node { .. } if is_absent => Target::Poisoned,
            Meant::Node { decl, output } => match self.at_coordinate(decl, reference, platform, findings)? {
                Some(instance) => Target::Output { instance, output },
                None => Target::Poisoned,
            },
        })
    }

    fn at_coordinate(
        &mut self,
        decl: DeclId,
        reference: &Reference,
        platform: &Platform,
        findings: &mut Findings,
    ) -> Result<Option<InstanceId>, Box<Mistake>> {
        let world = self.world;
        let coordinates = world.coordinates(decl, findings);
        let coordinate = coordinates.restrict(&reference.coordinate);
        let label = &world.decl(decl).label;
        if let Some(axis) = coordinates.axes.iter().find(|axis| !coordinate.contains_key(*axis)) {
            let message = format!("`{label}` stands once for each `{axis}`, and this takes one of them");
            let help = format!("add to the line: {{ pick {axis}=\"…\"; }}, or {{ each {axis}; }}");
            let mistake = Mistake::new(Code::AxisValue, message, help);
            return Err(Box::new(mistake.at(reference.span.clone(), "which one?")));
        }
        // Every declaration was read in all of its coordinates before any reference is resolved.
        let coordinate = Rc::new(coordinate);
        let usual = world.request.platform.clone();
        let is_known =
            self.by_key.contains_key(&Key { decl, coordinate: coordinate.clone(), platform: usual });
        if !is_known && !self.is_full && !world.budget.is_spent() {
            let message = format!("there is no `{label}{}`", suffix(&coordinate));
            let all: Vec<String> = coordinates.all.iter().take(6).map(suffix).collect();
            let help = format!("it has the coordinates {}", all.join(" "));
            let mistake = Mistake::new(Code::AxisValue, message, help);
            return Err(Box::new(mistake.at(reference.span.clone(), "not one of its coordinates")));
        }
        let platforms = self.platforms.get(&(decl, coordinate.clone()));
        if let Some(platforms) = platforms.filter(|platforms| !platforms.contains(platform)) {
            let all: Vec<String> = platforms.iter().map(platform::short).collect();
            let message = format!("`{label}` is not made for {}", platform::short(platform));
            let help = format!("add it to its `platforms`, which are {}", all.join(", "));
            let mistake = Mistake::new(Code::TypePlatform, message, help);
            return Err(Box::new(mistake.at(reference.span.clone(), "asked for here")));
        }
        Ok(self.request(decl, coordinate, platform.clone(), findings))
    }

    /// Where the commands of each instance execute, and what is on its root: the platform of what it stands on.
    pub fn platforms_of_roots(&self) -> Vec<Platform> {
        let mut known: Vec<Option<Platform>> = vec![None; self.all.len()];
        for start in 0..self.all.len() {
            let mut way = Vec::new();
            let mut at = start;
            let platform = loop {
                if let Some(platform) = &known[at] {
                    break platform.clone();
                }
                way.push(at);
                let instance = &self.all[at];
                let root = instance.item.only("from").and_then(Item::reference);
                match root.and_then(|reference| instance.resolved.get(&reference.place)) {
                    // Rings were told; a chain is as long as the build at most.
                    Some(Resolved::Output { instance, .. }) if way.len() < known.len() => at = instance.0,
                    Some(Resolved::Host) => break self.world.request.platform.clone(),
                    _ => break instance.platform.clone(),
                }
            };
            way.into_iter().for_each(|place| known[place] = Some(platform.clone()));
        }
        known.into_iter().flatten().collect()
    }
}
