//! What a JPEG file consists of: its segments (ITU-T T.81, annex B), read without decoding anything.

use crate::io::photo::truncated;

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const EXIF: &[u8] = b"Exif\0\0";
const ICC: &[u8] = b"ICC_PROFILE\0";

/// The segments of one image.
#[derive(Debug, Default)]
pub(super) struct Structure {
    /// The start-of-frame marker's low byte: the coding process.
    pub process: u8,
    /// Bits per sample.
    pub bits: u8,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Horizontal and vertical sampling factors of each component.
    pub sampling: Vec<(u8, u8)>,
    /// Each component's identifier, and a bit for every coefficient that a scan has given its last digit.
    finished: Vec<(u8, u64)>,
    /// Components in the first scan.
    pub first_scan: usize,
    /// Bytes of coded data in all scans.
    pub coded_bytes: usize,
    /// Where the end-of-image marker begins, in bytes; `None` when there is none.
    pub end: Option<usize>,
    /// The EXIF block, without its signature.
    pub exif: Option<Vec<u8>>,
    icc: Vec<(u8, u8, Vec<u8>)>,
}

impl Structure {
    /// Walks from segment to segment to the end of the first image.
    ///
    /// Thumbnails inside EXIF segments have end markers of their own, hence the walk rather than a search.
    ///
    /// # Errors
    /// In words, when the file ends before its first scan.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, String> {
        let mut found = Self::default();
        let mut position = 2;
        while let Some((marker, after)) = next_marker(bytes, position) {
            if found.first_scan > 0 {
                found.coded_bytes += after - 2 - position;
            }
            position = match marker {
                END_OF_IMAGE => {
                    found.end = Some(after - 2);
                    break;
                }
                // Stuffed zeros and restart markers belong to the coded data; 0x01 stands alone.
                0x00 | 0x01 | 0xD0..=0xD8 => after,
                0xFF => after - 1,
                START_OF_SCAN | 0x02..=0xFE => {
                    // The header of a scan has a length, the coded data after it has none: the next marker ends it.
                    let Some(segment) = segment(bytes, after) else { break };
                    found.take(marker, segment);
                    after + 2 + segment.len()
                }
            };
        }
        if found.first_scan == 0 || found.sampling.is_empty() {
            return Err(truncated("JPEG"));
        }
        Ok(found)
    }

    /// The ICC profile, when all of its pieces are there.
    pub(super) fn icc(&self) -> Option<Vec<u8>> {
        let pieces = self.icc.first()?.1;
        let piece = |number| Some(self.icc.iter().find(|(n, _, _)| *n == number)?.2.as_slice());
        let whole: Option<Vec<&[u8]>> = (1..=pieces).map(piece).collect();
        Some(whole?.concat())
    }

    /// Blocks of 8x8 samples in the frame.
    pub(super) fn blocks(&self) -> u64 {
        let largest =
            |factor: fn(&(u8, u8)) -> u8| u64::from(self.sampling.iter().map(factor).max().unwrap_or(1).max(1));
        let (across, down) = (largest(|s| s.0), largest(|s| s.1));
        let units = u64::from(self.size.0).div_ceil(8 * across) * u64::from(self.size.1).div_ceil(8 * down);
        let of_unit: u64 = self.sampling.iter().map(|(h, v)| u64::from(*h) * u64::from(*v)).sum();
        units * of_unit
    }

    /// Whether all coefficients of all components have had their last scan.
    pub(super) fn has_all_scans(&self) -> bool {
        self.finished.iter().all(|(_, finished)| *finished == u64::MAX)
    }

    /// The header of a scan: its components, its range of coefficients and the bits that it leaves out.
    fn take_scan(&mut self, count: usize, header: &[u8]) {
        if self.first_scan == 0 {
            self.first_scan = count;
        }
        let Some([first, last, approximation]) = header.get(2 * count..2 * count + 3) else {
            return;
        };
        if approximation & 0x0F != 0 || first > last || *last > 63 {
            return;
        }
        let range = u64::MAX >> (63 - (last - first)) << first;
        let of_scan = header[..2 * count].chunks_exact(2).map(|component| component[0]);
        for id in of_scan {
            if let Some((_, finished)) = self.finished.iter_mut().find(|(known, _)| *known == id) {
                *finished |= range;
            }
        }
    }

    fn take(&mut self, marker: u8, segment: &[u8]) {
        match (marker, segment) {
            // DHT, JPG and DAC lie among the start-of-frame markers.
            (0xC0..=0xCF, [bits, h1, h0, w1, w0, _, components @ ..]) if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                self.process = marker & 0x0F;
                self.bits = *bits;
                self.size = (
                    u32::from(u16::from_be_bytes([*w1, *w0])),
                    u32::from(u16::from_be_bytes([*h1, *h0])),
                );
                self.finished = components.chunks_exact(3).map(|c| (c[0], 0)).collect();
                self.sampling = components.chunks_exact(3).map(|c| (c[1] >> 4, c[1] & 0x0F)).collect();
            }
            (START_OF_SCAN, [components, rest @ ..]) => self.take_scan(usize::from(*components), rest),
            (0xE1, _) if self.exif.is_none() => self.exif = segment.strip_prefix(EXIF).map(<[u8]>::to_vec),
            (0xE2, _) => {
                if let Some([number, pieces, data @ ..]) = segment.strip_prefix(ICC) {
                    self.icc.push((*number, *pieces, data.to_vec()));
                }
            }
            _ => {}
        }
    }
}

/// What follows the length at `position`, as long as it says.
fn segment(bytes: &[u8], position: usize) -> Option<&[u8]> {
    let length = bytes.get(position..position + 2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
    bytes.get(position + 2..position + length)
}

/// The byte after the next `0xFF` at or after `position`, and the position behind it.
fn next_marker(bytes: &[u8], position: usize) -> Option<(u8, usize)> {
    let start = position + bytes.get(position..)?.iter().position(|byte| *byte == 0xFF)?;
    Some((*bytes.get(start + 1)?, start + 2))
}
