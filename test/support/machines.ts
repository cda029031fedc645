/** Machines as their sysfs shows them: small tables of files in the shapes that real ones have, under a root of their own. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SystemFiles } from "../../runtime/native/system-files.js";

const POWERCAP = "/sys/class/powercap";
/** What 2^32 - 1 counts of 2^-14 J are, and of 15.3 uJ, in microjoules: as these processors' drivers give it. */
const RANGE_CLIENT = "262143328850";
const RANGE_SERVER = "65532610987";

type Files = Record<string, string | number>;

function zone(path: string, name: string, energy: number, range = RANGE_CLIENT): Files {
  const folder = `${POWERCAP}/${path}`;
  return { [`${folder}/name`]: name, [`${folder}/energy_uj`]: energy, [`${folder}/max_energy_range_uj`]: range };
}

/** An Intel client: psys beside the package, core and uncore below it, and the package once more by MMIO. */
export const INTEL_CLIENT: Files = {
  [`${POWERCAP}/intel-rapl/enabled`]: 1,
  ...zone("intel-rapl:0", "package-0", 230_000_000_000),
  [`${POWERCAP}/intel-rapl:0/constraint_0_name`]: "long_term",
  [`${POWERCAP}/intel-rapl:0/constraint_0_max_power_uw`]: 15_000_000,
  ...zone("intel-rapl:0:0", "core", 100_000_000_000),
  ...zone("intel-rapl:0:1", "uncore", 1_000_000_000),
  ...zone("intel-rapl:1", "psys", 50_000_000_000),
  ...zone("intel-rapl-mmio:0", "package-0", 230_000_000_000),
};

/** Two sockets, memory of each below its package. */
export const SERVER: Files = {
  ...zone("intel-rapl:0", "package-0", 1_000_000, RANGE_CLIENT),
  ...zone("intel-rapl:0:0", "dram", 2_000_000, RANGE_SERVER),
  ...zone("intel-rapl:1", "package-1", 3_000_000, RANGE_CLIENT),
  ...zone("intel-rapl:1:0", "dram", 4_000_000, RANGE_SERVER),
};

/** AMD since Zen: a package and its cores. */
export const ZEN: Files = {
  ...zone("intel-rapl:0", "package-0", 10_000_000, RANGE_SERVER),
  ...zone("intel-rapl:0:0", "core", 5_000_000, RANGE_SERVER),
};

/** An APU by amdgpu (Van Gogh): two means of the same power, and the voltage only APUs have. */
export const APU: Files = {
  "/sys/class/hwmon/hwmon0/name": "nvme",
  "/sys/class/hwmon/hwmon0/temp1_input": 40_000,
  "/sys/class/hwmon/hwmon3/name": "amdgpu",
  "/sys/class/hwmon/hwmon3/in1_label": "vddnb",
  "/sys/class/hwmon/hwmon3/power1_label": "slowPPT",
  "/sys/class/hwmon/hwmon3/power1_average": 9_000_000,
  "/sys/class/hwmon/hwmon3/power2_label": "fastPPT",
  "/sys/class/hwmon/hwmon3/power2_average": 9_500_000,
};

/** Two discrete cards of one kind. */
export const CARDS: Files = {
  "/sys/class/hwmon/hwmon4/name": "amdgpu",
  "/sys/class/hwmon/hwmon4/power1_label": "PPT",
  "/sys/class/hwmon/hwmon4/power1_average": 20_000_000,
  "/sys/class/hwmon/hwmon4/power1_input": 21_000_000,
  "/sys/class/hwmon/hwmon5/name": "amdgpu",
  "/sys/class/hwmon/hwmon5/power1_label": "PPT",
  "/sys/class/hwmon/hwmon5/power1_average": 30_000_000,
};
export const CARD_LINKS = {
  "/sys/class/hwmon/hwmon4/device": "0000:03:00.0",
  "/sys/class/hwmon/hwmon5/device": "0000:83:00.0",
};

/** Carrizo and Bristol Ridge, as the paper's A12-9800: the compute units alone. */
export const FAM15H: Files = {
  "/sys/class/hwmon/hwmon1/name": "fam15h_power",
  "/sys/class/hwmon/hwmon1/power1_average": 20_000_000,
  "/sys/class/hwmon/hwmon1/power1_average_interval": 10,
  "/sys/class/hwmon/hwmon1/power1_crit": 65_000_000,
};

/** A laptop without its charger; the mouse has a battery, too. */
export const LAPTOP: Files = {
  "/sys/class/power_supply/AC/type": "Mains",
  "/sys/class/power_supply/AC/online": 0,
  "/sys/class/power_supply/BAT0/type": "Battery",
  "/sys/class/power_supply/BAT0/status": "Discharging",
  "/sys/class/power_supply/BAT0/voltage_now": 11_500_000,
  "/sys/class/power_supply/BAT0/current_now": -1_000_000,
  "/sys/class/power_supply/hidpp_battery_0/type": "Battery",
  "/sys/class/power_supply/hidpp_battery_0/scope": "Device",
  "/sys/class/power_supply/hidpp_battery_0/status": "Discharging",
  "/sys/class/power_supply/hidpp_battery_0/power_now": 100,
};

/** A machine under a root, whose files change. */
export class Machine {
  readonly files: SystemFiles;

  constructor(
    private readonly root: string,
    files: Files,
    links: Record<string, string> = {},
  ) {
    this.set(files);
    for (const [path, target] of Object.entries(links)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      symlinkSync(`../../../devices/${target}`, join(root, path));
    }
    this.files = new SystemFiles(root);
  }

  set(files: Files): void {
    for (const [path, value] of Object.entries(files)) {
      mkdirSync(dirname(join(this.root, path)), { recursive: true });
      writeFileSync(join(this.root, path), `${value}\n`);
    }
  }

  /** Energy goes on by so many microjoules in these zones, around the end of the range where it comes. */
  spend(microjoules: Record<string, number>): void {
    for (const [path, more] of Object.entries(microjoules)) {
      const folder = `${POWERCAP}/${path}`;
      const range = this.files.number(`${folder}/max_energy_range_uj`)!;
      // 2^32 counts, of which the range is the last.
      const modulus = (range / (2 ** 32 - 1)) * 2 ** 32;
      const value = this.files.number(`${folder}/energy_uj`)! + more;
      this.set({ [`${folder}/energy_uj`]: Math.floor(value % modulus) });
    }
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }
}

/** A machine whose counters this user may not read: root may, whatever a file's mode says. */
export class Forbidden extends SystemFiles {
  override readable(path: string): boolean {
    return !path.endsWith("energy_uj") && super.readable(path);
  }
  override bytes(path: string): Buffer | undefined {
    return this.readable(path) ? super.bytes(path) : undefined;
  }
}
