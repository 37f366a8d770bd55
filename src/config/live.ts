/**
 * Targets that list to each caller for itself (`mode: "live"`): asked with the caller's own credential, imported like any
 * description, put beside what everyone sees. A target that does not list to a caller has nothing for it.
 */
import { principalKey } from '../auth/authenticate.ts'
import type { Access } from '../auth/authorize.ts'
import type { LiveLists, Seen } from '../call/snapshot.ts'
import { bindTools, Catalogue, type ListingFacts } from '../catalogue/catalogue.ts'
import { type BoundOffers, Offered } from '../catalogue/offers.ts'
import type { Clock } from '../core/clock.ts'
import { toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { Principal, Target, Tool } from '../core/model.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import { importJob } from './import-job.ts'
import type { Importer } from './importer.ts'
import type { TargetConfig } from './schema.ts'

export interface LiveTarget {
  readonly target: Target
  readonly config: TargetConfig
  readonly priority: number
  readonly place: CredentialProvider['place'] | undefined
  /** What the server lists to the caller, as a description. */
  list(caller: Principal): Promise<Uint8Array>
}

/** What is there without the live targets. */
interface Shared {
  /** What the caller may see of a view. */
  listed(view: string, caller: Principal): Catalogue | undefined
  readonly offers: readonly BoundOffers[]
  /** Names all that `listed` and `mayUse` depend on for a caller. */
  readonly access: Pick<Access, 'audience'>
  mayUse(view: string, caller: Principal, offer: { readonly name: string; readonly target: Target }): boolean
  readonly facts: ListingFacts
  readonly pageSize: number
}

interface LiveRoom {
  readonly importer: Importer
  readonly clock: Clock
  readonly log: Log
}

/** What the live targets have for a caller. */
interface Own {
  readonly tools: readonly Tool[]
  readonly offers: readonly BoundOffers[]
}

interface Remembered {
  readonly own: Promise<Own>
  readonly at: number
  readonly views: Map<string, Seen>
  /** The targets have not all answered yet. */
  isAsking: boolean
}

export function createLiveLists(room: LiveRoom, targets: readonly LiveTarget[], shared: Shared): LiveLists {
  /** By caller and audience, since one caller’s tokens may allow different things; the one asked for last at the end. */
  const remembered = new Map<string, Remembered>()
  const keyOf = (caller: Principal): string => JSON.stringify([principalKey(caller), shared.access.audience(caller)])

  /** Who asks while the targets are being asked waits for the same answers, and so does who asks again at once. */
  const ask = (caller: Principal): Remembered => {
    const key = keyOf(caller)
    const before = remembered.get(key)
    const now = room.clock.monotonic()
    if (before !== undefined && (before.isAsking || now - before.at < limits.liveGapMs)) return before
    const made: Remembered = {
      own: askAll(room, targets, caller),
      at: now,
      views: new Map(),
      isAsking: true,
    }
    made.own.then(
      () => {
        made.isAsking = false
      },
      () => {
        if (remembered.get(key) === made) remembered.delete(key)
      },
    )
    remembered.delete(key)
    remembered.set(key, made)
    if (remembered.size > limits.liveCallers) for (const oldest of remembered.keys().take(1)) remembered.delete(oldest)
    return made
  }

  const seen = async ({ own, views }: Remembered, view: string, caller: Principal): Promise<Seen> => {
    const { tools, offers } = await own
    let made = views.get(view)
    if (made === undefined) {
      const mine = tools.filter(({ name, target }) => shared.mayUse(view, caller, { name, target }))
      const all = [...(shared.listed(view, caller)?.tools ?? []), ...mine]
      made = {
        catalogue: new Catalogue(all, shared.facts, shared.pageSize),
        offers: new Offered([...shared.offers, ...offers]),
      }
      views.set(view, made)
    }
    return made
  }

  return {
    fresh: (view, caller) => seen(ask(caller), view, caller),
    known(view, caller) {
      const found = remembered.get(keyOf(caller))
      const isFresh = found !== undefined && room.clock.monotonic() - found.at < limits.liveMs
      return seen(isFresh ? found : ask(caller), view, caller)
    },
  }
}

async function askAll(room: LiveRoom, targets: readonly LiveTarget[], caller: Principal): Promise<Own> {
  const all = await Promise.all(targets.map((target) => askOne(room, target, caller)))
  return { tools: all.flatMap(({ tools }) => tools), offers: all.flatMap(({ offers }) => offers) }
}

async function askOne({ importer, log }: LiveRoom, live: LiveTarget, caller: Principal): Promise<Own> {
  const { target, config, place, priority } = live
  try {
    const bytes = await live.list(caller)
    const reply = await importer.run(importJob(target.name, bytes, { config, place }))
    const offers = reply.offers === undefined ? [] : [{ target, set: reply.offers, priority }]
    return { tools: bindTools(target, reply.tools), offers }
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (error.code === 'internal') throw error
    log.info({ target: target.name, code: error.code, words: error.message }, 'a target did not list to a caller')
    return { tools: [], offers: [] }
  }
}
