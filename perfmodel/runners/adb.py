"""The `adb` runner: TFLite's or LiteRT's `benchmark_model` on an attached Android phone.

The user supplies a `benchmark_model` built for the phone: TensorFlow Lite's, or that of LiteRT 2,
which takes the same options but for NNAPI and prints a block of results. The runner pushes it and
the model, sets affinity, reads heat before and after, and keeps the tool's whole output.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from perfmodel.errors import RunnerError
from perfmodel.runners.device_options import BENCHMARK_MODEL, SERIAL
from perfmodel.runners.remote import DeviceLog, run_program, safe_name
from perfmodel.runners.runner import Job, MachineFacts

REMOTE = "/data/local/tmp/perfmodel"
HOT_STATUS = 2
"""Android's thermal status from which the phone throttles (2: moderate; PowerManager)."""

_IGNORED = re.compile(r"Unconsumed cmdline flags: (.{1,2000})")
"""How the tool tells options that it does not know; it runs without them."""
_LITERT_RESULTS = re.compile(r"= BENCHMARK RESULTS =.{1,4000}Inference \(avg\):", re.DOTALL)
_STATUS_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_PROPERTIES = {
    "phone": "ro.product.model",
    "soc": "ro.soc.model",
    "platform": "ro.board.platform",
    "android": "ro.build.version.release",
    "build": "ro.build.fingerprint",
}


@dataclass(frozen=True)
class PhoneHeat:
    """Thermal status (0 none to 6 shutdown; None if the phone does not say) and battery heat."""

    status: int | None
    battery_c: float | None

    def __str__(self) -> str:
        name = "unknown" if self.status is None else _STATUS_NAMES[min(self.status, 6)]
        heat = "unknown" if self.battery_c is None else f"{self.battery_c:.1f} C"
        return f"thermal status {name}, battery {heat}"


class AdbRunner:
    """Measures .tflite files on one attached phone.

    `delegate` is "" (CPU), "gpu" or "nnapi"; `cores` a hexadecimal affinity mask such as "f0", ""
    leaves affinity alone; `adb` the program; `serial` chooses one of several phones.
    """

    name = "adb"

    def __init__(
        self,
        benchmark_model: Path | None,
        *,
        serial: str = "",
        adb: str = "adb",
        cores: str = "",
        delegate: str = "",
        runs: int = 50,
        timeout_s: float = 600,
    ) -> None:
        if cores and not re.fullmatch(r"[0-9a-fA-F]{1,8}", cores):
            raise RunnerError(f"affinity {cores!r} is no hexadecimal mask", "for example f0")
        if delegate not in ("", "gpu", "nnapi"):
            raise RunnerError(f"delegate {delegate!r} is none of gpu, nnapi")
        self.adb, self.cores, self.delegate = adb, cores, delegate
        self.runs, self.timeout_s = runs, timeout_s
        self.serial = serial or self._only_phone()
        self.tool = self._push_tool(benchmark_model)

    def _only_phone(self) -> str:
        """Serial of the attached phone; an error says what to do if there is none, or several."""
        lines = self._run("devices").splitlines()
        attached = [x.split() for x in lines[1:] if len(x.split()) >= 2 and "daemon" not in x]
        ready = [words[0] for words in attached if words[1] == "device"]
        if len(ready) == 1:
            return ready[0]
        if len(ready) > 1:
            raise RunnerError(
                f"{len(ready)} phones are attached: {', '.join(ready)}",
                f"choose one with --serial or {SERIAL}",
            )
        for serial, state, *_ in attached:
            if state == "unauthorized":
                raise RunnerError(
                    f"phone {serial} has not authorised this computer",
                    "unlock it and accept the USB debugging question",
                )
            raise RunnerError(f"phone {serial} is {state}", "plug it in again")
        raise RunnerError(
            "no phone is attached (adb devices lists none)",
            "switch on USB debugging, plug the phone in, and check with `adb devices`",
        )

    def _run(self, *arguments: str, check: bool = True) -> str:
        chosen = ["-s", self.serial] if getattr(self, "serial", "") else []
        return run_program([self.adb, *chosen, *arguments], timeout_s=self.timeout_s, check=check)

    def shell(self, *words: str, check: bool = True) -> str:
        """Run words on the phone, each quoted for the phone's shell."""
        return self._run("shell", " ".join(shlex.quote(w) for w in words), check=check)

    def _push_tool(self, benchmark_model: Path | None) -> str:
        if benchmark_model is None:
            raise RunnerError(
                "the adb runner needs a benchmark_model program built for the phone",
                f"give --benchmark-model PATH or set {BENCHMARK_MODEL} (TensorFlow Lite's "
                "tools/benchmark)",
            )
        if not benchmark_model.is_file():
            raise RunnerError(
                f"{benchmark_model}: no such file",
                f"give --benchmark-model PATH or set {BENCHMARK_MODEL}",
            )
        tool = f"{REMOTE}/benchmark_model"
        self.shell("mkdir", "-p", REMOTE)
        self._run("push", str(benchmark_model), tool)
        self.shell("chmod", "755", tool)
        return tool

    def describe(self) -> MachineFacts:
        """Phone, chip and Android version; what it does not say is left out."""
        facts = {
            name: value
            for name, prop in _PROPERTIES.items()
            if (value := self.shell("getprop", prop, check=False).strip())
        }
        return MachineFacts(self.name, {**facts, "serial": self.serial, "heat": str(self.heat())})

    def heat(self) -> PhoneHeat:
        """How hot the phone says it is."""
        thermal = self.shell("dumpsys", "thermalservice", check=False)
        battery = self.shell("dumpsys", "battery", check=False)
        status = re.search(r"Thermal Status: (\d+)", thermal)
        tenths = re.search(r"temperature: (\d+)", battery)
        return PhoneHeat(
            int(status[1]) if status else None, int(tenths[1]) / 10 if tenths else None
        )

    def measure(self, job: Job) -> DeviceLog:
        """Time one model: its log, the heat around it, and warnings in words."""
        if not job.model.is_file():
            raise RunnerError(f"{job.model}: no such file")
        remote = f"{REMOTE}/{safe_name(job.model.name)}"
        self._run("push", str(job.model), remote)
        before = self.heat()
        text = self.shell(*self._command(remote, job))
        after = self.heat()
        self._check(text, job)
        facts = {"heat_before": str(before), "heat_after": str(after), "affinity": self.cores}
        warnings = (*_heat_warnings(before, after), *_delegate_warnings(text))
        defaults: dict[str, str | float] = {
            "unit": self.delegate or "cpu",
            "precision": job.precision,
            "threads": float(job.threads),
            "affinity": "",
            "source": f"benchmark_model over adb, serial {self.serial}",
        }
        return DeviceLog(job.key, {"log": text}, facts, warnings, defaults)

    def _command(self, remote: str, job: Job) -> list[str]:
        pinned = ["taskset", self.cores] if self.cores else []
        accelerated = {"gpu": ["--use_gpu=true"], "nnapi": ["--use_nnapi=true"]}
        return [
            *pinned,
            self.tool,
            f"--graph={remote}",
            f"--num_threads={job.threads}",
            f"--num_runs={self.runs}",
            "--warmup_runs=5",
            "--enable_op_profiling=true",
            "--report_peak_memory_footprint=true",
            *accelerated.get(self.delegate, []),
        ]

    def _check(self, text: str, job: Job) -> None:
        ignored = _IGNORED.search(text)
        if ignored and f"--use_{self.delegate or 'no'}=" in ignored[1]:
            raise RunnerError(
                f"this benchmark_model knows no {self.delegate} delegate: {job.key} ran on the CPU",
                "LiteRT 2 has no NNAPI: take TensorFlow Lite's tool, or another delegate",
            )
        if "nference timings in us" in text or _LITERT_RESULTS.search(text):
            return
        last = next((x.strip() for x in reversed(text.splitlines()) if x.strip()), "no output")
        hint = "is benchmark_model built for this phone's processor?"
        if "ermission denied" in text:
            hint = "the phone refuses to run it: is /data/local/tmp mounted noexec?"
        elif "delegate" in text.lower():
            hint = "the delegate cannot take this model: measure it on the CPU"
        raise RunnerError(f"benchmark_model gave no times for {job.key}: {last[:300]}", hint)


def _heat_warnings(before: PhoneHeat, after: PhoneHeat) -> tuple[str, ...]:
    if after.status is not None and after.status >= HOT_STATUS:
        return (
            f"the phone throttles ({after}; before: {before}): let it cool down and measure again",
        )
    return ()


def _delegate_warnings(text: str) -> tuple[str, ...]:
    split = re.search(
        r"\b(\d{1,9}) operations will run on the (\w{1,20}), and the remaining (\d{1,9}) oper",
        text,
    )
    if split and int(split[3]) > 0:
        return (
            f"only {split[1]} operations run on the {split[2]}; {split[3]} fall back to the CPU",
        )
    if re.search(r"Explicitly applied \S{1,40} delegate.{0,80}partially executed", text):
        return ("the delegate executes the model only partially; the rest runs on the CPU",)
    return ()
