/** Keeps what is in force in step with the files: something changed → wait until it is whole → build aside → swap. */
import { watch } from 'chokidar'
import type { Snapshot } from '../call/snapshot.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import { loadSettings, type Settings } from './load.ts'
import { readManaged } from './managed.ts'
import { descriptionOf } from './schema.ts'
import type { SnapshotBuilder } from './snapshots.ts'
import { Settling, specFiles } from './sources.ts'

/** What is made of the settings besides targets, and takes effect with them. */
export interface Parts {
  /** What signs, by the names of `credentials`. */
  readonly providers: ReadonlyMap<string, CredentialProvider>
}

export interface ReloadOptions<P extends Parts> {
  readonly settings: Settings
  readonly configFile: string | undefined
  readonly builder: SnapshotBuilder
  /** A way out for an allow list; the one before is closed once calls on it are over. */
  readonly openEgress: (allow: readonly string[]) => Egress
  readonly clock: Clock
  readonly log: Log
  /** Makes the parts for other settings, what is the same taken from `before`. What it throws keeps those in force. */
  readonly prepare: (now: Settings, egress: Egress, before: P | undefined) => P
  /** A snapshot took effect; `before` is none for the first. */
  readonly onSwap: (now: Snapshot, before: Snapshot | undefined, parts: P) => void
}

/** Settings with all that was made of them: replaced as one. */
interface InForce<P> {
  readonly settings: Settings
  readonly egress: Egress
  readonly parts: P
}

/** What listens, rests and is billed is as it was at the start; the rest follows the file. */
const startKeys = ['listen', 'admin', 'publicUrl', 'dataDir', 'specs', 'vault', 'metering', 'log', 'store'] as const

export class Reloader<P extends Parts> {
  readonly #options: ReloadOptions<P>
  #inForce: InForce<P>
  readonly #settling = new Settling()
  #snapshot: Snapshot | undefined
  #configError: string | undefined
  /** Settings of the file that differ from the start and were told. */
  #untold = ''
  #running: Promise<void> = Promise.resolve()
  #due = false
  #cancelNext: () => void = () => undefined
  #watchToo: (paths: readonly string[]) => void = () => undefined
  #stop: () => Promise<void> = () => Promise.resolve()

  constructor(options: ReloadOptions<P>) {
    const { settings } = options
    const egress = options.openEgress(settings.egress.allow)
    this.#options = options
    this.#inForce = { settings, egress, parts: options.prepare(settings, egress, undefined) }
  }

  get settings(): Settings {
    return this.#inForce.settings
  }

  get egress(): Egress {
    return this.#inForce.egress
  }

  get parts(): P {
    return this.#inForce.parts
  }

  /** Builds the first snapshot and begins to watch. */
  async start(): Promise<void> {
    await this.reload()
    const { clock } = this.#options
    const paths = [this.settings.specs, this.settings.file, ...this.#named()]
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
    await this.egress.close()
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
    const paths = [this.settings.file, ...specFiles(this.settings.specs), ...this.#named()]
    if (this.#snapshot === undefined) this.#settling.trust(paths)
    const waiting = this.#settling.unsettled(paths, clock.monotonic())
    if (waiting.size > 0) this.#soon(limits.watchDebounceMs)
    return waiting
  }

  #named(): string[] {
    return Object.values(this.settings.targets).flatMap((target) =>
      [descriptionOf(target) ?? [], target.overlay].flat(),
    )
  }

  async #rebuild(whole: string | undefined): Promise<void> {
    const { builder, log, onSwap } = this.#options
    const waiting = this.#waiting()
    const candidate =
      this.#snapshot === undefined || waiting.has(this.settings.file) ? this.#inForce : this.#candidate()
    const before = this.#snapshot
    let now: Snapshot
    try {
      now = await builder.build(
        candidate.settings,
        readManaged(candidate.settings.dataDir),
        candidate.egress,
        candidate.parts.providers,
        this.#configError,
        ({ name, path, config }) => name !== whole && [path, ...config.overlay].some((file) => waiting.has(file)),
      )
    } catch (error) {
      if (candidate.egress !== this.egress) await candidate.egress.close()
      throw error
    }
    // All of it in one step: no call meets new callers under old rules, or old callers under new ones.
    const old = this.#inForce
    this.#inForce = candidate
    if (candidate !== old) this.#watchToo(this.#named())
    // Calls that began on the old snapshot still go out through it.
    if (candidate.egress !== old.egress)
      void sleep(this.#options.clock, limits.targetTimeoutMsMax).then(() => old.egress.close())
    if (now !== before || candidate !== old) onSwap(now, before, candidate.parts)
    if (now === before) return
    this.#snapshot = now
    for (const target of now.targets) this.#tell(target.name, target.status, target.reasons, before)
    log.info(
      { snapshot: now.number, targets: now.targets.length, tools: now.catalogue('')?.tools.length },
      'snapshot in force',
    )
  }

  /** What the file comes to now; what is in force when it says the same, or nothing that can be used. */
  #candidate(): InForce<P> {
    const { log, configFile, openEgress, prepare } = this.#options
    const { settings, egress, parts } = this.#inForce
    let opened: Egress | undefined
    try {
      const next = this.#started(loadSettings(configFile))
      const isSame =
        JSON.stringify(next) === JSON.stringify(settings) && next.secretsVersion === settings.secretsVersion
      const isMoved = JSON.stringify(next.egress.allow) !== JSON.stringify(settings.egress.allow)
      if (isMoved) opened = openEgress(next.egress.allow)
      const made = isSame
        ? this.#inForce
        : { settings: next, egress: opened ?? egress, parts: prepare(next, opened ?? egress, parts) }
      this.#configError = undefined
      return made
    } catch (thrown) {
      void opened?.close()
      const { message } = toGatewayError(thrown)
      if (message !== this.#configError)
        log.error({ error: thrown }, 'the configuration is wrong; the one in force stays')
      this.#configError = message
      return this.#inForce
    }
  }

  /** The settings with what only a start can change as it was then; a difference is told once. */
  #started(next: Settings): Settings {
    const { settings: start, log } = this.#options
    // quotas follow the file like all that says what callers may do
    const { quotas } = next.metering
    const before = { ...start, metering: { ...start.metering, quotas } }
    const differing = startKeys.filter((key) => JSON.stringify(next[key]) !== JSON.stringify(before[key]))
    const told = differing.join(', ')
    if (told !== this.#untold && told !== '') log.warn({ settings: differing }, 'these settings want a restart')
    this.#untold = told
    const kept = Object.fromEntries(startKeys.map((key) => [key, before[key]])) as Pick<
      Settings,
      (typeof startKeys)[number]
    >
    return { ...next, ...kept, adminToken: start.adminToken, vaultKeys: start.vaultKeys }
  }

  #tell(name: string, status: string, reasons: readonly string[], before: Snapshot | undefined): void {
    if (status !== 'FAILED' && reasons.length === 0) return
    const known = before?.targets.find((target) => target.name === name)
    if (known === undefined || JSON.stringify(known.reasons) !== JSON.stringify(reasons))
      this.#options.log.warn({ target: name, reasons }, 'a target cannot be served as its file has it')
  }
}
