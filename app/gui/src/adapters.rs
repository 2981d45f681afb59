//! What could draw the studio's window.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A graphics adapter: a card, or software in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// As its driver calls it.
    pub name: String,
    /// The interface that it is reached by, such as "Vulkan".
    pub backend: &'static str,
    /// What it is, such as "graphics card".
    pub kind: &'static str,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.backend, self.kind)
    }
}

impl Adapter {
    /// In our words.
    pub(crate) fn of(info: &wgpu::AdapterInfo) -> Self {
        Self {
            name: info.name.clone(),
            backend: match info.backend {
                wgpu::Backend::Vulkan => "Vulkan",
                wgpu::Backend::Metal => "Metal",
                wgpu::Backend::Dx12 => "Direct3D 12",
                wgpu::Backend::Gl => "OpenGL",
                wgpu::Backend::BrowserWebGpu => "WebGPU",
                wgpu::Backend::Noop => "none",
            },
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "graphics card",
                wgpu::DeviceType::IntegratedGpu => "graphics in the processor",
                wgpu::DeviceType::VirtualGpu => "virtual graphics card",
                wgpu::DeviceType::Cpu => "software",
                wgpu::DeviceType::Other => "unknown kind",
            },
        }
    }
}

/// The adapters of this machine; those of OpenGL where there are no others, since only then it is used. None where no
/// driver is installed.
pub fn available() -> Vec<Adapter> {
    let found = reached_by(wgpu::Backends::PRIMARY);
    if found.is_empty() {
        reached_by(wgpu::Backends::GL)
    } else {
        found
    }
}

fn reached_by(backends: wgpu::Backends) -> Vec<Adapter> {
    // An instance opens the libraries of its interfaces, and those of OpenGL complain on systems without a desktop.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = at_once(instance.enumerate_adapters(backends)).unwrap_or_default();
    found.iter().map(|adapter| Adapter::of(&adapter.get_info())).collect()
}

/// The answer of a future that has it at once, as those of the graphics library have outside of browsers.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}
