//! How often somebody may knock: token buckets, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Buckets that are remembered at once.
const BUCKETS_MAX: usize = 10_000;

/// Lets every address do something `at_once` times, and again `per_minute` times.
///
/// Loopback is let through: it is this machine, or a proxy on it that everybody comes through and that has to do its
/// own counting.
pub struct Limiter(Buckets<IpAddr>);

impl Limiter {
    pub fn new(at_once: u32, per_minute: u32) -> Self {
        Self(Buckets::new(at_once, f64::from(per_minute) / 60.0))
    }

    /// Whether `address` may do it now; if so, it counts.
    pub fn allow(&self, address: IpAddr, now: Instant) -> bool {
        address.to_canonical().is_loopback() || self.0.allow(network(address), now)
    }

    /// Refused because an address came too often.
    pub fn refused(&self) -> u64 {
        self.0.refused()
    }

    /// Refused because too many addresses came at once.
    pub fn full(&self) -> u64 {
        self.0.full()
    }
}

/// Lets everybody of a key do something `at_once` times, and again so often.
pub struct Buckets<K> {
    at_once: f64,
    per_second: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
    refused: AtomicU64,
    full: AtomicU64,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    pub fn new(at_once: u32, per_second: f64) -> Self {
        Self {
            at_once: f64::from(at_once),
            per_second,
            buckets: Mutex::default(),
            refused: AtomicU64::new(0),
            full: AtomicU64::new(0),
        }
    }

    /// Whether who has that key may do it now; if so, it counts.
    pub fn allow(&self, key: K, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().expect("nobody panics while holding it");
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.at_once);
            if buckets.len() >= BUCKETS_MAX {
                self.full.fetch_add(1, Ordering::Relaxed);
                return false;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: self.at_once,
            at: now,
        });
        bucket.left = self.filled(bucket, now);
        bucket.at = now;
        if bucket.left < 1.0 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        bucket.left -= 1.0;
        true
    }

    /// Refused because one key came too often.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refused because too many keys came at once.
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + seconds * self.per_second).min(self.at_once)
    }
}

/// Who has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_may_come_so_often_and_again_after_a_while() {
        let (limiter, start) = (Limiter::new(2, 60), Instant::now());
        let ada = address("192.0.2.1");
        let came: Vec<bool> = (0..3).map(|_| limiter.allow(ada, start)).collect();
        assert_eq!((came, limiter.refused()), (vec![true, true, false], 1));
        assert!(
            limiter.allow(address("192.0.2.2"), start),
            "another's bucket is another"
        );
        assert!(limiter.allow(ada, start + Duration::from_secs(1)));
        assert!(!limiter.allow(ada, start + Duration::from_secs(1)));
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one() {
        let (limiter, now) = (Limiter::new(1, 1), Instant::now());
        assert!(limiter.allow(address("2001:db8::1"), now));
        assert!(!limiter.allow(address("2001:db8::2:3"), now));
        assert!(limiter.allow(address("2001:db8:0:1::1"), now));
    }

    #[test]
    fn this_machine_is_let_through() {
        let (limiter, now) = (Limiter::new(1, 1), Instant::now());
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(
                limiter.allow(address(own), now) && limiter.allow(address(own), now),
                "{own}"
            );
        }
    }

    #[test]
    fn memory_is_bounded_and_is_freed_by_time() {
        let (limiter, start) = (Limiter::new(2, 60), Instant::now());
        for number in 0..u32::try_from(BUCKETS_MAX).expect("small") {
            assert!(limiter.allow(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), start));
        }
        assert!(!limiter.allow(address("192.0.2.1"), start));
        assert_eq!(limiter.full(), 1);
        assert!(limiter.allow(address("192.0.2.1"), start + Duration::from_secs(2)));
    }
}
