//! Waits until this front knows what others have written.

use std::time::{Duration, Instant};

use stream_coordination::coordinator::Coordinator;
use stream_coordination::io::LogId;

use super::coordination::Coordination;
use super::topic_log::LogError;

impl Coordination {
    /// Waits until this front knows everything that the slot's log has at this moment. Those who
    /// wait at the same time share one question.
    pub(super) async fn catch_up(&self, slot: u32, patience: Duration) -> Result<(), LogError> {
        let wanted_at = Instant::now();
        // If nobody answers, those who wait don't ask one after the other.
        let turn = tokio::time::timeout(patience, self.caught_up.lock()).await;
        let mut caught_up = turn.map_err(|_| behind())?;
        let is_known = |(known, asked_at): &(u32, Instant)| *known == slot && *asked_at > wanted_at;
        if caught_up.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let asked_at = Instant::now();
        self.reach_end(slot, patience).await?;
        *caught_up = Some((slot, asked_at));
        Ok(())
    }

    async fn reach_end(&self, slot: u32, patience: Duration) -> Result<(), LogError> {
        let (_, end) = self.extent(LogId::Slot(slot)).await?;
        let reached = |coordinator: &Coordinator| coordinator.position(slot) >= end;
        match self.wait_until(patience, reached).await {
            true => Ok(()),
            false => Err(behind()),
        }
    }
}

fn behind() -> LogError {
    LogError::Unavailable("it is behind its log".to_owned())
}
