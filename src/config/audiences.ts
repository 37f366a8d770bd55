/** What a caller sees of a view: the tools that the access rules allow, listed from bytes made once an audience. */
import type { Access } from '../auth/authorize.ts'
import type { Snapshot } from '../call/snapshot.ts'
import { Catalogue, type ListingFacts } from '../catalogue/catalogue.ts'
import { limits } from '../core/limits.ts'

export function audiencesOf(
  access: Access,
  views: ReadonlyMap<string, Catalogue>,
  facts: ListingFacts,
  pageSize: number,
): Pick<Snapshot, 'find' | 'listed'> {
  /** By view and audience, the one asked for last at the end. */
  const made = new Map<string, Catalogue>()
  return {
    find(view, caller, name) {
      const tool = views.get(view)?.find(name)
      if (tool === undefined) return undefined
      return access.allows(access.audience(caller), { name, target: tool.target.name }) ? tool : undefined
    },
    listed(view, caller) {
      const whole = views.get(view)
      if (whole === undefined) return undefined
      const audience = access.audience(caller)
      const key = `${view} ${audience}`
      let found = made.get(key)
      if (found === undefined) {
        const seen = whole.tools.filter(({ name, target }) => access.allows(audience, { name, target: target.name }))
        found = seen.length === whole.tools.length ? whole : new Catalogue(seen, facts, pageSize)
        if (made.size >= limits.audiencesListed) for (const oldest of made.keys().take(1)) made.delete(oldest)
      } else made.delete(key)
      made.set(key, found)
      return found
    },
  }
}
