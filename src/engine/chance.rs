//! Numbers that look random and are the same in every replay.

/// A number in `0.0..1.0` that the run's seed, the address and the attempt decide, and nothing else.
pub(super) fn number(seed: u64, at: &str, attempt: u32) -> f64 {
    // FNV-1a over the address.
    let hash = at
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // The last rounds of SplitMix64; without them, near addresses would have near numbers.
    let mut mixed = hash ^ u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_addresses_spread_over_the_whole_range() {
        let mut tenths = [0; 10];
        for item in 0..1_000 {
            let number = number(7, &format!("f[{item}]"), 1);
            assert!((0.0..1.0).contains(&number));
            let tenth = (0..10).rev().find(|tenth| number * 10.0 >= f64::from(*tenth)).unwrap();
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..140).contains(count)), "{tenths:?}");
    }
}
