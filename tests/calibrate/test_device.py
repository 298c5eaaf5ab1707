"""What a device is asked about itself, with stand-ins for the driver and PyTorch."""

from types import SimpleNamespace

from twill.calibrate import child


def test_the_device_is_described(monkeypatch):
    import torch

    properties = SimpleNamespace(name="NVIDIA H100", multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(child, "driver", lambda: ("580.1", 1980))
    device = child._device()
    assert (device.name, device.sm_count, device.driver, device.clock_limit_mhz) == ("NVIDIA H100", 132, "580.1", 1980)
    assert device.torch == torch.__version__


def test_without_nvidia_smi_the_driver_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert child.driver() == ("unknown", 0)
