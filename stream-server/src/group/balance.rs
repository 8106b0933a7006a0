//! Balance: every instance gets partitions / instances, rounded up or down, with as few moves as
//! possible. A partition moves only if everything that was delivered from it is committed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Group;
use super::member::Member;

impl Group {
    /// Recomputes which instance holds which partition. Marks partitions as leaving if an instance
    /// has too many, moves those that can move, and gives free ones to the instances with too few.
    pub(super) fn rebalance(&mut self) {
        let quotas = quotas(&self.members, self.record.positions.len());
        for (epoch, quota) in &quotas {
            self.mark_leaving(*epoch, *quota);
        }
        let committed = |partition: &u32| self.record.positions.get(partition).map(|p| p.next());
        for member in self.members.values_mut() {
            member.held.retain(|partition, held| {
                !held.leaving || held.has_uncommitted(committed(partition).unwrap_or(0))
            });
        }
        self.assign_free(&quotas);
    }

    /// Moves the leaving partitions that nothing holds back any more.
    pub(super) fn release_leaving(&mut self) {
        let any_leaving = |member: &Member| member.held.values().any(|held| held.leaving);
        if self.members.values().any(any_leaving) {
            self.rebalance();
        }
    }

    fn mark_leaving(&mut self, epoch: u64, quota: usize) {
        let committed = |partition: &u32| self.record.positions.get(partition).map(|p| p.next());
        let Some(member) = self.members.get_mut(&epoch) else {
            return;
        };
        let excess = member.held.len().saturating_sub(quota);
        // Partitions that can move at once go first, then those that were marked before, then the
        // highest.
        let mut order: Vec<_> = member
            .held
            .iter()
            .map(|(partition, held)| {
                let stuck = held.has_uncommitted(committed(partition).unwrap_or(0));
                (stuck, !held.leaving, Reverse(*partition))
            })
            .collect();
        order.sort_unstable();
        for (place, (_, _, Reverse(partition))) in order.into_iter().enumerate() {
            if let Some(held) = member.held.get_mut(&partition) {
                held.leaving = place < excess;
            }
        }
    }

    fn assign_free(&mut self, quotas: &BTreeMap<u64, usize>) {
        let owned = |p: &u32| {
            self.members
                .values()
                .any(|member| member.held.contains_key(p))
        };
        let free: Vec<u32> = self
            .record
            .positions
            .keys()
            .filter(|p| !owned(p))
            .copied()
            .collect();
        if free.is_empty() {
            return;
        }
        self.generation = self.generation.saturating_add(1);
        for partition in free {
            let committed_next = self.committed_next(partition);
            let below_quota = self.members.iter_mut().filter(|(epoch, member)| {
                member.held.len() < quotas.get(epoch).copied().unwrap_or(0)
            });
            let neediest = below_quota.min_by_key(|(epoch, member)| (member.held.len(), **epoch));
            if let Some((_, member)) = neediest {
                member.hold(partition, self.generation, committed_next);
            }
        }
    }
}

/// Returns how many partitions each instance has to hold. If the numbers don't divide evenly, those
/// that hold most keep one more, then those that joined first.
fn quotas(members: &BTreeMap<u64, Member>, partitions: usize) -> BTreeMap<u64, usize> {
    let Some(share) = partitions.checked_div(members.len()) else {
        return BTreeMap::new();
    };
    let remainder = partitions.checked_rem(members.len()).unwrap_or(0);
    let mut order: Vec<_> = members
        .iter()
        .map(|(epoch, member)| (Reverse(member.held.len()), *epoch))
        .collect();
    order.sort_unstable();
    let quota = |place: usize| share + usize::from(place < remainder);
    order
        .into_iter()
        .enumerate()
        .map(|(place, (_, epoch))| (epoch, quota(place)))
        .collect()
}
