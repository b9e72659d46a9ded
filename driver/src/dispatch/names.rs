//! Lists by name: the handlers of a table, by the events they are for.

use std::sync::Arc;

/// Lists that are not empty, by name.
///
/// Looked up by comparing: a table is small, and a hash would read all of a name that a client chose. In the order of
/// their lengths, so that most names are told apart without a look at them.
pub(super) struct Names<V>(Vec<(Arc<str>, Vec<V>)>);

impl<V> Names<V> {
    /// The list of this name.
    pub(super) fn get(&self, name: &str) -> &[V] {
        self.find(name).map_or(&[], |at| &self.0[at].1)
    }

    /// Adds to the list of this name.
    pub(super) fn add(&mut self, name: &str, add: impl FnOnce(&mut Vec<V>)) {
        let at = self.find(name).unwrap_or_else(|at| {
            self.0.insert(at, (name.into(), Vec::new()));
            at
        });
        add(&mut self.0[at].1);
    }

    /// Takes away the list of this name.
    pub(super) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    /// Takes away what is not to be kept.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.0.retain_mut(|(_, list)| {
            list.retain(&mut keep);
            !list.is_empty()
        });
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        let from = self.0.partition_point(|(known, _)| known.len() < name.len());
        let mut as_long = self.0[from..].iter().take_while(|(known, _)| known.len() == name.len());
        // The few of a length are compared for being equal: their order would have to be searched for longer.
        as_long.position(|(known, _)| **known == *name).map_or(Err(from), |at| Ok(from + at))
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Clone> Clone for Names<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_length_and_only_they() {
        let all = ["", "a", "b", "ab", "ba", "abc", "message", "message:1", "message:2"];
        let mut names = Names::default();
        for name in all.iter().rev() {
            names.add(name, |list| list.push(*name));
        }
        names.add("ab", |list| list.push("again"));
        for name in all {
            assert_eq!(names.get(name).first(), Some(&name));
        }
        assert_eq!(names.get("ab"), ["ab", "again"]);
        for other in ["c", "aa", "messagf", "messages", "message:3"] {
            assert!(names.get(other).is_empty());
        }
    }

    #[test]
    fn an_empty_list_is_forgotten() {
        let mut names = Names::default();
        names.add("a", |list| list.extend([1, 2]));
        names.add("b", |list| list.push(3));
        names.retain(|value| *value != 3);
        assert_eq!(names.names().collect::<Vec<_>>(), ["a"]);
        names.remove("b");
        names.remove("a");
        assert_eq!(names.names().count(), 0);
    }
}
