/** Keeps what is in force in step with the files: something changed → wait until it is whole → build aside → swap. */
import { watch } from 'chokidar'
import type { Snapshot } from '../call/snapshot.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { Egress } from '../egress/fetch.ts'
import { loadSettings, type Settings } from './load.ts'
import { readManaged } from './managed.ts'
import type { SnapshotBuilder } from './snapshots.ts'
import { Settling, specFiles } from './sources.ts'

export interface ReloadOptions {
  readonly settings: Settings
  readonly configFile: string | undefined
  readonly builder: SnapshotBuilder
  /** A way out for an allow list; the one before is closed once calls on it are over. */
  readonly openEgress: (allow: readonly string[]) => Egress
  readonly clock: Clock
  readonly log: Log
  /** Other settings are about to take effect; what it throws keeps those in force. */
  readonly onSettings: (now: Settings, egress: Egress) => void
  /** A snapshot took effect; `before` is none for the first. */
  readonly onSwap: (now: Snapshot, before: Snapshot | undefined) => void
}

export class Reloader {
  readonly #options: ReloadOptions
  #settings: Settings
  #egress: Egress
  readonly #settling = new Settling()
  #snapshot: Snapshot | undefined
  #configError: string | undefined
  #running: Promise<void> = Promise.resolve()
  #due = false
  #cancelNext: () => void = () => undefined
  #watchToo: (paths: readonly string[]) => void = () => undefined
  #stop: () => Promise<void> = () => Promise.resolve()

  constructor(options: ReloadOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#egress = options.openEgress(options.settings.egress.allow)
  }

  get settings(): Settings {
    return this.#settings
  }

  get egress(): Egress {
    return this.#egress
  }

  /** Builds the first snapshot and begins to watch. */
  async start(): Promise<void> {
    await this.reload()
    const { clock } = this.#options
    const paths = [this.#settings.specs, this.#settings.file, ...this.#named()]
    const watcher = watch(paths, { ignoreInitial: true, depth: 1, persistent: false })
    this.#watchToo = (more) => void watcher.add([...more])
    // What changed before the watcher was at its post is seen by looking once more.
    watcher.on('ready', () => this.#soon(0))
    watcher.on('all', () => this.#soon(limits.watchDebounceMs))
    watcher.on('error', (error) =>
      this.#options.log.warn({ error }, 'watching files failed; they are looked at from time to time'),
    )
    const stopPolling = clock.every(limits.watchReconcileMs, () => this.#soon(0))
    this.#stop = async () => {
      stopPolling()
      this.#cancelNext()
      await watcher.close()
    }
  }

  async close(): Promise<void> {
    await this.#stop()
    await this.#running
    await this.#egress.close()
  }

  /**
   * Builds and swaps now, after what is under way; files that are being written wait, except that of the target `whole`.
   * Never rejects: what fails is logged and the old stays.
   */
  reload(whole?: string): Promise<void> {
    this.#running = this.#running
      .then(() => this.#rebuild(whole))
      .catch((error: unknown) => {
        this.#options.log.error({ error }, 'reload failed; what was in force stays')
      })
    return this.#running
  }

  /** What is due already is not put off: a file that is written to without end holds up no other. */
  #soon(ms: number): void {
    if (this.#due) return
    this.#due = true
    this.#cancelNext = this.#options.clock.after(ms, () => {
      this.#due = false
      void this.reload()
    })
  }

  /** A file that was touched a moment ago may be half-written: it is looked at again until it is left alone. */
  #waiting(): ReadonlySet<string> {
    const { clock } = this.#options
    const paths = [this.#settings.file, ...specFiles(this.#settings.specs), ...this.#named()]
    if (this.#snapshot === undefined) this.#settling.trust(paths)
    const waiting = this.#settling.unsettled(paths, clock.monotonic())
    if (waiting.size > 0) this.#soon(limits.watchDebounceMs)
    return waiting
  }

  #named(): string[] {
    return Object.values(this.#settings.targets).flatMap(({ openapi, overlay }) =>
      openapi === undefined ? overlay : [openapi, ...overlay],
    )
  }

  async #rebuild(whole: string | undefined): Promise<void> {
    const { builder, log, onSwap, configFile } = this.#options
    const waiting = this.#waiting()
    try {
      if (this.#snapshot !== undefined && !waiting.has(this.#settings.file)) {
        this.#use(loadSettings(configFile))
        this.#configError = undefined
      }
    } catch (thrown) {
      const { message } = toGatewayError(thrown)
      if (message !== this.#configError)
        log.error({ error: thrown }, 'the configuration is wrong; the one in force stays')
      this.#configError = message
    }
    const before = this.#snapshot
    const now = await builder.build(
      this.#settings,
      readManaged(this.#settings.dataDir),
      this.#egress,
      this.#configError,
      ({ name, path, config }) => name !== whole && [path, ...config.overlay].some((file) => waiting.has(file)),
    )
    if (now === before) return
    this.#snapshot = now
    for (const target of now.targets) this.#tell(target.name, target.status, target.reasons, before)
    log.info(
      { snapshot: now.number, targets: now.targets.length, tools: now.catalogue('')?.tools.length },
      'snapshot in force',
    )
    onSwap(now, before)
  }

  /** What is the same is not made again; what throws leaves everything as it was. */
  #use(next: Settings): void {
    const changed = JSON.stringify(next) !== JSON.stringify(this.#settings)
    const moved = JSON.stringify(next.egress.allow) !== JSON.stringify(this.#settings.egress.allow)
    const egress = moved ? this.#options.openEgress(next.egress.allow) : this.#egress
    if (changed) this.#options.onSettings(next, egress)
    if (moved) {
      const old = this.#egress
      this.#egress = egress
      // Calls that began on the old snapshot still go out through it.
      void sleep(this.#options.clock, limits.targetTimeoutMsMax).then(() => old.close())
    }
    this.#settings = next
    this.#watchToo(this.#named())
  }

  #tell(name: string, status: string, reasons: readonly string[], before: Snapshot | undefined): void {
    if (status !== 'FAILED' && reasons.length === 0) return
    const known = before?.targets.find((target) => target.name === name)
    if (known === undefined || JSON.stringify(known.reasons) !== JSON.stringify(reasons))
      this.#options.log.warn({ target: name, reasons }, 'a target cannot be served as its file has it')
  }
}
