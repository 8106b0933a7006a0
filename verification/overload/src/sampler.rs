//! Reads values from Envoy and the stream server once a second, during everything else.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use local_gateway::{LocalSet, Part, http, stats};

use crate::sample::{Sample, resident};

const INTERVAL: Duration = Duration::from_secs(1);

/// The stats that Envoy is asked for.
const WANTED: &str = "memory_allocated|memory_bytes|sluice_waiting_requests";

/// The running sampler.
#[derive(Debug)]
pub(crate) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    start: Instant,
}

impl Sampler {
    /// Starts to sample a set.
    pub(crate) fn start(set: &LocalSet) -> Self {
        let url = format!("{}/stats?filter={WANTED}", set.admin_url());
        let (envoy, stream) = (set.pid(Part::Envoy), set.pid(Part::StreamServer));
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = channel();
        let start = Instant::now();
        let taken = Arc::clone(&samples);
        let thread = thread::spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let sample = Sample {
                    seconds: start.elapsed().as_secs_f64(),
                    envoy_rss: rss(envoy),
                    stream_rss: rss(stream),
                    ..Sample::default()
                };
                // If Envoy is too busy to answer, it is asked again.
                if let Ok(answer) = http::get(&url) {
                    let sample = sample.with_stats(&stats::parse(&answer.body));
                    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                    taken.push(sample);
                }
            }
        });
        Self {
            samples,
            end: Some(end),
            thread: Some(thread),
            start,
        }
    }

    /// Returns the seconds since the sampler started.
    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Returns all samples so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // If it failed, samples are missing.
            let _ended = thread.join();
        }
    }
}

fn rss(pid: Option<u32>) -> u64 {
    let status = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    status
        .and_then(|status| resident(&status))
        .unwrap_or_default()
}
