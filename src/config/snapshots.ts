/**
 * Builds what is in force: every source imported aside, checked, then swapped in as one immutable snapshot. A bad
 * description never displaces a good one; a source that did not change is not imported again.
 */
import { Catalogue, bindTools } from '../catalogue/catalogue.ts'
import { Offered } from '../catalogue/offers.ts'
import { toMatcher } from '../catalogue/pattern.ts'
import { type AccessRule, createAccess } from '../auth/authorize.ts'
import type { Route, Snapshot, TargetStatus } from '../call/snapshot.ts'
import type { LimitRule, Throttle } from '../call/throttle.ts'
import { audiencesOf } from './audiences.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { versionOf } from '../core/hash.ts'
import type { Log } from '../core/log.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import type { Issue } from '../targets/adapter.ts'
import type { Upstreams } from '../transports/mcp/upstreams.ts'
import { importJob, type Made } from './import-job.ts'
import type { Importer } from './importer.ts'
import { kindSaid } from './kind.ts'
import { createLiveLists, type LiveTarget } from './live.ts'
import type { Settings } from './load.ts'
import type { Managed } from './managed.ts'
import { approvedOf, type Held, holdBack, pinVersion } from './pins.ts'
import { toRoute, toTarget } from './routes.ts'
import { findSources, readSource, type Source } from './sources.ts'

/** How our own admin API is reached as a target. */
interface OwnTarget {
  readonly server: string
  readonly credential: CredentialProvider
  readonly egress: Egress
}

export interface BuildRoom {
  readonly importer: Importer
  readonly upstreams: Upstreams
  readonly clock: Clock
  readonly log: Log
  readonly own: OwnTarget | undefined
  /** Limits for the rules of the settings; the same while they are the same. */
  readonly throttle: (rules: readonly LimitRule[]) => Throttle
  /** JSON members of a list result that 2026-07-28 wants. */
  readonly listFacts: (serverName: string) => string
}

interface Good {
  readonly made: Made
  readonly route: Route
  readonly version: string
  /** Changes with anything that a call is made of and by, also where the tools look the same. */
  readonly callsVersion: string
  readonly server: string
  readonly issues: readonly Issue[]
  /** What waits for the operator's approval. */
  readonly held: Held | undefined
  /** Of its resources, among targets that have the same. */
  readonly priority: number
  /** Lists to each caller for itself. */
  readonly live: LiveTarget | undefined
}

type Credentials = ReadonlyMap<string, CredentialProvider>

/** By what a source is loaded and called. */
interface Way {
  readonly settings: Settings
  readonly providers: Credentials
  readonly egress: Egress
}

/** How an MCP server is asked for its lists. */
type Asked = Omit<Parameters<Upstreams['listing']>[0], 'refreshMs'>

/** For a server that lists to each caller: nothing is known without one. */
const nothingListed = Buffer.from('{"tools":[]}')

interface Memory {
  /** What the last attempt was made of. */
  readonly key: string
  readonly failure: string | undefined
  readonly good: Good | undefined
}

export class SnapshotBuilder {
  readonly #room: BuildRoom
  readonly #memory = new Map<string, Memory>()
  #number = 0
  #last: { readonly key: string; readonly snapshot: Snapshot } | undefined

  constructor(room: BuildRoom) {
    this.#room = room
  }

  /** `isWaiting` tells which sources are not to be read yet. The snapshot of these settings and of what the folder holds now; the last one itself when nothing differs. */
  async build(
    settings: Settings,
    managed: Managed,
    egress: Egress,
    providers: Credentials,
    configError: string | undefined,
    isWaiting: (source: Source) => boolean,
  ): Promise<Snapshot> {
    const sources = findSources(settings, managed).filter(
      // A file that is being written is as it was before; a new one is not there yet.
      (source) => !isWaiting(source) || this.#memory.has(source.name),
    )
    const statuses: TargetStatus[] = []
    const goods: Good[] = []
    for (const source of sources) {
      const way = { settings, providers, egress: source.own ? (this.#room.own?.egress ?? egress) : egress }
      const known = isWaiting(source) ? this.#memory.get(source.name) : undefined
      const memory =
        known === undefined ? await this.#load(source, way) : { ...known, good: this.#kept(source, known.good, way) }
      statuses.push(statusOf(source, memory))
      if (memory.good !== undefined) goods.push(memory.good)
    }
    this.#room.upstreams.keep(new Set(sources.flatMap(({ name, config }) => (config.mcp === undefined ? [] : [name]))))
    const names = new Set(sources.map(({ name }) => name))
    for (const name of this.#memory.keys()) if (!names.has(name)) this.#memory.delete(name)
    return this.#assemble(settings, statuses, goods, configError)
  }

  async #load(source: Source, way: Way): Promise<Memory> {
    if (source.problem !== undefined) return { key: '', failure: source.problem, good: undefined }
    const { settings } = way
    const before = this.#memory.get(source.name)
    let key = ''
    try {
      const bytes = await this.#read(source, way)
      key = versionOf([
        bytes,
        ...source.config.overlay.map(readSource),
        Buffer.from(source.config.pin ? pinVersion(settings.dataDir, source.name) : ''),
        Buffer.from(JSON.stringify([source, settings.egress.allow, settings.credentials, settings.secretsVersion])),
      ])
      if (before?.key === key) return before
      const good = await this.#import(source, bytes, way)
      return this.#remember(source.name, { key, failure: undefined, good })
    } catch (thrown) {
      const error = toGatewayError(thrown)
      if (error.code === 'internal') throw error
      const good = this.#kept(source, before?.good, way) ?? this.#approved(source, way)
      return this.#remember(source.name, { key, failure: error.message, good })
    }
  }

  /** A description from its file; what an MCP server lists to the gateway from the server. */
  #read(source: Source, way: Way): Uint8Array | Promise<Uint8Array> {
    const { mcp } = source.config
    if (mcp === undefined || source.path !== '') return readSource(source.path)
    if (mcp.mode === 'live') return nothingListed
    return this.#room.upstreams.listing({ ...this.#asked(source, way), refreshMs: mcp.refreshMs })
  }

  #asked(source: Source, way: Way): Asked {
    const { url } = source.config.mcp ?? {}
    way.egress.check(url ?? '')
    const target = toTarget(source, { kind: 'mcp', server: url, origins: [] })
    return { target, credential: this.#credential(source, way), egress: way.egress }
  }

  #remember(name: string, memory: Memory): Memory {
    this.#memory.set(name, memory)
    return memory
  }

  async #import(source: Source, bytes: Uint8Array, way: Way): Promise<Good> {
    const { config, name } = source
    const credential = this.#credential(source, way)
    const server = (source.own ? this.#room.own?.server : undefined) ?? config.server
    const reply = await this.#room.importer.run(
      importJob(name, bytes, { config, path: source.path, place: credential?.place, server }),
    )
    const held = config.pin ? await holdBack(way.settings.dataDir, name, reply) : undefined
    return this.#bind(source, held?.serving ?? reply, way, credential, reply.issues, held)
  }

  #bind(
    source: Source,
    made: Made,
    way: Way,
    credential: CredentialProvider | undefined,
    issues: readonly Issue[],
    held: Held | undefined,
  ): Good {
    const { server, ...route } = toRoute(source, made, credential, { ...this.#room, ...way })
    const { mcp } = source.config
    const priority = mcp?.resourcePriority ?? 0
    const live = mcp?.mode === 'live' && source.path === '' ? this.#live(source, way, route, priority) : undefined
    return { made, route, ...versionsOf(made, source), held, server, issues, priority, live }
  }

  #live(source: Source, way: Way, { target, credential }: Route, priority: number): LiveTarget {
    const { upstreams } = this.#room
    const asked = { ...this.#asked(source, way), target, credential }
    return {
      target,
      config: source.config,
      priority,
      place: credential?.place,
      list: (caller) => upstreams.listingFor(caller, asked),
    }
  }

  /**
   * What was good goes on serving, but by the settings of now: only where it may still go, and never with a credential
   * that was taken away or replaced. One whose credential goes elsewhere than it was imported for is not served.
   */
  #kept(source: Source, good: Good | undefined, way: Way): Good | undefined {
    if (good === undefined) return undefined
    try {
      const credential = this.#credential(source, way)
      if (JSON.stringify(credential?.place) !== JSON.stringify(good.route.credential?.place)) return undefined
      return this.#bind(source, good.made, way, credential, good.issues, good.held)
    } catch (thrown) {
      if (toGatewayError(thrown).code === 'internal') throw thrown
      return undefined
    }
  }

  /** What the operator approved of a pinned target serves even where its description cannot be read any more. */
  #approved(source: Source, way: Way): Good | undefined {
    if (!source.config.pin) return undefined
    try {
      const approved = approvedOf(way.settings.dataDir, source.name)
      return approved === undefined
        ? undefined
        : this.#bind(source, approved, way, this.#credential(source, way), [], undefined)
    } catch (thrown) {
      if (toGatewayError(thrown).code === 'internal') throw thrown
      return undefined
    }
  }

  #credential(source: Source, { providers }: Way): CredentialProvider | undefined {
    if (source.own) return this.#room.own?.credential
    const name = source.config.credential
    if (name === undefined) return undefined
    const provider = providers.get(name)
    if (provider === undefined)
      throw new GatewayError('bad_config', { words: `There is no credential called ${name}.` })
    return provider
  }

  #assemble(
    settings: Settings,
    statuses: readonly TargetStatus[],
    goods: readonly Good[],
    configError: string | undefined,
  ): Snapshot {
    const key = JSON.stringify([
      statuses,
      goods.map(({ callsVersion }) => callsVersion),
      configError,
      settings.name,
      settings.instructions,
      settings.views,
      settings.listPageSize,
      settings.targets,
      settings.credentials,
      settings.egress,
      settings.secretsVersion,
      settings.access,
      settings.limits,
      settings.inbound,
    ])
    if (this.#last?.key === key) return this.#last.snapshot
    const routes = new Map(goods.map(({ route }) => [route.target, route]))
    const tools = goods.flatMap(({ route, made }) => bindTools(route.target, made.tools))
    const bound = goods.flatMap(({ route: { target }, made, priority }) =>
      made.offers === undefined ? [] : [{ target, set: made.offers, priority }],
    )
    const facts = { modern: this.#room.listFacts(settings.name) }
    const access = createAccess(settings.access as readonly AccessRule[])
    const inViews = new Map<string, InView>([['', () => true]])
    const views = new Map([['', new Catalogue(tools, facts, settings.listPageSize)]])
    for (const [name, view] of Object.entries(settings.views)) {
      const isIn = toInView(view)
      inViews.set(name, isIn)
      const chosen = tools.filter((tool) => isIn(tool.name, tool.target.name))
      views.set(name, new Catalogue(chosen, facts, settings.listPageSize))
    }
    const mayUse: Snapshot['mayUse'] = (view, caller, { name, target }) =>
      inViews.get(view)?.(name, target.name) === true &&
      access.allows(access.audience(caller), { name, target: target.name })
    const pageSize = settings.listPageSize
    const { find, listed } = audiencesOf(access, views, facts, pageSize)
    const lives = goods.flatMap(({ live }) => live ?? [])
    const live = createLiveLists(this.#room, lives, { listed, offers: bound, access, mayUse, facts, pageSize })
    const snapshot: Snapshot = {
      number: ++this.#number,
      serverName: settings.name,
      instructions: settings.instructions,
      configError,
      listPageSize: pageSize,
      catalogue: (view) => views.get(view),
      find,
      listed,
      offers: new Offered(bound),
      mayUse,
      ...(lives.length === 0 ? {} : { live }),
      accessVersion: JSON.stringify(settings.access),
      throttle: this.#room.throttle(settings.limits as readonly LimitRule[]),
      route(target) {
        const route = routes.get(target)
        if (route === undefined) throw new GatewayError('internal', { cause: new Error(`no route for ${target.name}`) })
        return route
      },
      views: [...views.keys()],
      targets: statuses,
    }
    this.#last = { key, snapshot }
    return snapshot
  }
}

const versionsOf = ({ kind, server, origins, lambda, tools, offers }: Made, { config }: Source) => ({
  version: versionOf(offers === undefined ? [tools.bytes] : [tools.bytes, Buffer.from(JSON.stringify(offers))]),
  callsVersion: versionOf([Buffer.from(JSON.stringify([config, kind, server, origins, lambda, tools.entries]))]),
})

type InView = (name: string, target: string) => boolean

/** A view has all of its targets, and what a pattern names. */
function toInView(view: { readonly targets: readonly string[]; readonly tools: readonly string[] }): InView {
  const matchers = view.tools.map(toMatcher)
  return (name, target) => view.targets.includes(target) || matchers.some((matches) => matches(name))
}

function statusOf(source: Source, { failure, good }: Memory): TargetStatus {
  const kept = failure !== undefined && good !== undefined ? ['The version before it keeps serving.'] : []
  return {
    name: source.name,
    kind: good?.made.kind ?? kindSaid(source.config),
    status: failure === undefined ? 'READY' : 'FAILED',
    reasons: failure === undefined ? heldOf(good) : [failure, ...kept],
    ...(good?.held?.version === undefined ? {} : { held: good.held.version }),
    toolCount: good?.made.tools.entries.length ?? 0,
    version: good?.version ?? '',
    server: good?.server ?? '',
    source: source.path,
    issues: good?.issues ?? [],
  }
}

const heldOf = (good: Good | undefined): string[] => (good?.held?.version === undefined ? [] : [good.held.words])
