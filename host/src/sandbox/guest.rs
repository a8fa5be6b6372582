//! All that belongs to one invocation: made for it, gone after it.

use std::sync::Arc;

use super::contract::wasi::config::store;
use super::log::Log;
use super::memory::Memory;
use super::process::Process;
use super::random::Random;
use super::spent::Spent;
use super::state::State;
use super::time::Time;
use crate::app::Function;
use crate::invocation::Call;

/// What the host side of an instance holds.
pub(super) struct Guest {
    pub(super) function: Arc<Function>,
    pub(super) memory: Memory,
    pub(super) state: State,
    pub(super) spent: Spent,
    pub(super) time: Time,
    pub(super) random: Random,
    pub(super) log: Log,
    pub(super) process: Process,
}

impl Guest {
    /// A guest for `call`, which has nothing of any other.
    pub(super) fn of(call: &Call<'_>) -> Self {
        Self {
            function: Arc::clone(call.function),
            memory: Memory::up_to(call.function.limits.memory_bytes),
            state: State::over(Arc::clone(&call.state)),
            spent: Spent::up_to(call.function.limits.time, call.stop.clone()),
            time: Time::beginning(call.event.timestamp_ms),
            random: Random::seeded(call.seed),
            log: Log::of(Arc::clone(call.function), call.event),
            process: Process,
        }
    }
}

impl store::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        Ok(Ok(self.function.config.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        Ok(Ok(self.function.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect()))
    }
}
