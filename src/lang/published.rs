//! The names that images are pushed and loaded by: one name from two coordinates of a node would mean
//! whichever came last.

use std::collections::BTreeMap;

use crate::lang::code::Code;
use crate::lang::decl::image;
use crate::lang::instances::{InstanceId, Instances};
use crate::lang::item::Given;
use crate::lang::matrix::suffix;
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::scope::DeclId;

pub fn report(instances: &Instances<'_>, findings: &mut Findings) {
    let mut first: BTreeMap<(DeclId, &str), InstanceId> = BTreeMap::new();
    for (id, instance) in instances.all.iter().enumerate().map(|(id, instance)| (InstanceId(id), instance)) {
        if instance.is_absent || instance.item.line.word != image::LINE.word {
            continue;
        }
        for given in instance.item.each("name").flat_map(|line| &line.arguments) {
            let Some(name) = given.text() else { continue };
            let known = *first.entry((instance.decl, name)).or_insert(id);
            if instances.get(known).coordinate != instance.coordinate {
                let world = instances.world;
                let trail = || world.trail(world.decl(instance.decl).scope);
                findings.within(trail, |findings| findings.add(twice(instances, [known, id], name, given)));
                return;
            }
        }
    }
}

fn twice(instances: &Instances<'_>, both: [InstanceId; 2], name: &str, given: &Given) -> Mistake {
    let [one, two] = both.map(|id| &instances.get(id).coordinate);
    let axis = one.iter().find(|(axis, value)| two.get(*axis) != Some(value));
    let axis = axis.map_or("AXIS", |(axis, _)| axis.as_str());
    let message = format!("the images at {} and {} have one name: {name}", suffix(one), suffix(two));
    let help = format!("put what differs into the name: \"NAME:${{matrix.{axis}}}\"");
    Mistake::new(Code::ImageName, message, help).at(given.span.clone(), "the same at both")
}
