//! What a plan has to know of a layout before there is a sweep: the file formats that it takes.

use mdsd3_model::pair_layout::LayoutKind;
use mdsd3_words::made::ImageFormat;

/// The format of degraded images when the plan says none: as in the layout's original.
pub fn default_lq(layout: LayoutKind) -> ImageFormat {
    match layout {
        LayoutKind::Reside => ImageFormat::Jpeg,
        _ => ImageFormat::Png,
    }
}

/// Whether degraded images may be JPEG: not where a reader wants the clean image's very name.
pub fn takes_jpeg(layout: LayoutKind) -> bool {
    matches!(
        layout,
        LayoutKind::Reside | LayoutKind::Imagefolder | LayoutKind::Webdataset
    )
}
