/** Which service of a model is read, and which operations are in its closure (Smithy 2.0 §Service types). */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Model, Shape } from './model.ts'
import { textAt } from '../openapi/tree.ts'

const restJson = 'aws.protocols#restJson1'

/** The first service that speaks restJson1. Throws `bad_description` that says what the model has instead. */
export function chooseService(model: Model): Shape {
  const services = model.ids('service').flatMap((id) => model.shape(id) ?? [])
  const readable = services.filter(({ traits }) => traits.has(restJson))
  const [first] = readable
  if (first === undefined) throw new GatewayError('bad_description', { words: unreadable(services) })
  if (services.length > 1)
    model.warn('several_services', first.id, `The model has ${services.length} services; only this one is read.`)
  return first
}

function unreadable(services: readonly Shape[]): string {
  const [service] = services
  if (service === undefined) return 'The Smithy model has no service.'
  const spoken = [...service.traits.keys()]
    .filter((name) => /^(?:aws|smithy|alloy)\.?\w*(?:protocols)?#/.test(name) && isProtocol(name))
    .map((name) => name.slice(name.indexOf('#') + 1))
  const known = spoken.length === 0 ? 'no protocol that is known here' : spoken.slice(0, 5).join(', ')
  return `The service of this Smithy model speaks ${known}; only restJson1 is read.`
}

const isProtocol = (name: string): boolean =>
  name.startsWith('aws.protocols#')
    ? /^(?:awsJson1_[01]|restXml|awsQuery|ec2Query)$/.test(name.slice('aws.protocols#'.length))
    : /^(?:smithy\.protocols#|alloy#simpleRestJson$)/.test(name)

export interface Closure {
  /** Shape IDs of operations, each once, the service's own first. */
  readonly operations: readonly string[]
  /** Those that a resource calls its `delete`. */
  readonly deletes: ReadonlySet<string>
}

/** Operations of the service, of its resources and of theirs. */
export function closureOf(service: Shape, model: Model): Closure {
  const operations = new Set<string>()
  const deletes = new Set<string>()
  const seen = new Set<string>()
  const open: Shape[] = [service]
  // It grows on the way.
  for (const owner of open) {
    for (const keyword of ['operations', 'collectionOperations'])
      for (const id of owner.lists.get(keyword) ?? []) operations.add(id)
    for (const keyword of ['create', 'put', 'read', 'update', 'delete', 'list']) {
      const id = owner.type === 'resource' ? textAt(owner.node[keyword], 'target') : undefined
      if (id !== undefined) operations.add(id)
      if (id !== undefined && keyword === 'delete') deletes.add(id)
    }
    for (const id of owner.lists.get('resources') ?? []) {
      if (seen.has(id)) continue
      seen.add(id)
      const resource = model.shape(id)
      if (resource?.type === 'resource') open.push(resource)
    }
    if (operations.size > limits.documentOperations)
      throw new GatewayError('over_limit', {
        words: `The model has more than ${limits.documentOperations} operations.`,
      })
  }
  return { operations: [...operations], deletes }
}
