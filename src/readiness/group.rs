//! Groups what several objects have in common, so that it is told once.

use crate::manifest::{Kind, ObjectId};

use super::trouble::Trouble;

/// Objects with the same problem or state.
pub(super) struct Group<'a, T> {
    /// The objects.
    pub(super) objects: Vec<&'a ObjectId>,
    /// What they have in common, of the first one.
    pub(super) common: T,
}

impl<T> Group<'_, T> {
    /// `Pods pgset-0 and pgset-1: TEXT`.
    pub(super) fn text(&self, text: &str) -> String {
        format!("{}: {text}", named(&self.objects))
    }
}

/// Groups in the order of the first members. `is_same` compares what two objects have.
pub(super) fn groups<'a, T>(
    members: impl IntoIterator<Item = (&'a ObjectId, T)>,
    is_same: impl Fn(&T, &T) -> bool,
) -> Vec<Group<'a, T>> {
    let mut groups: Vec<Group<'a, T>> = Vec::new();
    for (object, value) in members {
        let same = |group: &&mut Group<'a, T>| {
            group.objects[0].kind == object.kind && is_same(&group.common, &value)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.objects.push(object),
            None => groups.push(Group { objects: vec![object], common: value }),
        }
    }
    groups
}

/// Whether two objects have the same problem. The texts may differ in numbers: ports, ages, counts.
pub(super) fn is_same_trouble(a: &Trouble, b: &Trouble) -> bool {
    a.cause == b.cause && a.container == b.container && is_alike(&a.message, &b.message)
}

/// Whether two texts differ at most in numbers.
pub(super) fn is_alike(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    letters(a) == letters(b)
}

/// `Pod pgset-0`, `Pods pgset-0 and pgset-1`, `PersistentVolumeClaims a, b and c`.
pub(super) fn named(objects: &[&ObjectId]) -> String {
    let kind = objects.first().map_or(Kind::Pod, |object| object.kind).name();
    let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    match names.as_slice() {
        [name] => format!("{kind} {name}"),
        [names @ .., last] => format!("{kind}s {} and {last}", names.join(", ")),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_a_kind_with_the_same_text_are_one_group() {
        let id = |kind, name: &str| ObjectId::new(kind, "pg", name);
        let objects = [
            (id(Kind::Pod, "pgset-0"), "read udp 10.0.0.1:41389: i/o timeout"),
            (id(Kind::PersistentVolumeClaim, "data"), "no volume"),
            (id(Kind::Pod, "pgset-1"), "read udp 10.0.0.1:9: i/o timeout"),
            (id(Kind::Pod, "pgset-2"), "exit code 1"),
            (id(Kind::Pod, "pgset-3"), "read udp 10.0.0.1:7: i/o timeout"),
        ];
        let members = objects.iter().map(|(object, text)| (object, *text));
        let told: Vec<String> = groups(members, |a, b| is_alike(a, b))
            .iter()
            .map(|group| format!("{}: {}", named(&group.objects), group.common))
            .collect();
        assert_eq!(
            told,
            [
                "Pods pgset-0, pgset-1 and pgset-3: read udp 10.0.0.1:41389: i/o timeout",
                "PersistentVolumeClaim data: no volume",
                "Pod pgset-2: exit code 1",
            ]
        );
    }
}
