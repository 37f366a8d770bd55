/** Names of operations: `operationId`, or one made from method and path; stable whatever the order of the keys. */
import { shortHash } from '../../core/hash.ts'
import { type Node, textAt } from './tree.ts'

/** What names an operation. */
export interface Named {
  readonly method: string
  readonly path: string
  readonly operation: Node
}

/** One id an operation, whatever the order: `operationId`, or method and path; ids used twice are told apart by a hash. */
export function uniqueIds<P extends Named>(places: readonly P[], warn: (place: P, message: string) => void): string[] {
  const wishes = places.map((place) => {
    const id = textAt(place.operation, 'operationId')?.trim()
    const name = legalName(id ?? '')
    // An id in another script has nothing left that tells it from the next.
    return /[A-Za-z0-9]/.test(name) ? name : derivedId(place)
  })
  const times = new Map<string, number>()
  for (const wish of wishes) times.set(wish, (times.get(wish) ?? 0) + 1)
  return wishes.map((wish, index) => {
    const place = places[index]
    if (place === undefined || times.get(wish) === 1) return wish
    warn(place, `Several operations are called ${wish}; each is given a hash of its method and path.`)
    return `${wish}_${shortHash(`${place.method} ${place.path}`)}`
  })
}

const legalName = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, '_')

/** `GET /pets/{id}` → `get_pets_by_id`. */
function derivedId({ method, path }: Named): string {
  const words = path.split(/[/{}]+/).filter((word) => word !== '')
  const named = path
    .split('/')
    .filter((segment) => segment !== '')
    .flatMap((segment) => segment.split(/(\{[^{}]*\})/).filter((part) => part !== ''))
    .map((part) => (part.startsWith('{') ? `by_${part.slice(1, -1)}` : part))
  const name = [method.toLowerCase(), ...(words.length === 0 ? ['root'] : named)]
    .join('_')
    .replace(/[^A-Za-z0-9]+/g, '_')
  return name.endsWith('_') && name.indexOf('_') === name.length - 1 ? `${name}${shortHash(path)}` : name
}
