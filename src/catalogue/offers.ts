/** What MCP servers offer besides tools, as clients of the gateway see it: prompts by prefixed names, resources by their URIs. */
import { versionOf } from '../core/hash.ts'
import type { Json, Target } from '../core/model.ts'
import type { Offers } from '../targets/adapter.ts'
import { toMatcher } from './pattern.ts'
import { toolName } from './tool.ts'
import type { ToolRules, Unknown } from './tools.ts'
import { toUriMatcher } from './uri-template.ts'

type Definition = { readonly [member: string]: Json }

/** The offers of one target, chosen and named. Plain data: made in the import thread. */
export interface OfferSet {
  /** `name` is the prompt's as clients say it, `own` as its server does. */
  readonly prompts: readonly { readonly name: string; readonly own: string; readonly definition: Definition }[]
  readonly resources: readonly { readonly uri: string; readonly name: string; readonly definition: Definition }[]
  readonly templates: readonly {
    readonly uriTemplate: string
    readonly name: string
    readonly definition: Definition
  }[]
  /** Patterns of URIs that are not offered, by way of a template either. */
  readonly excluded?: readonly string[]
  readonly completions: boolean
  readonly subscribe: boolean
}

/** An override of `tools.override` is of a prompt, a resource or a template when its key begins with the word. */
const promptKey = (name: string): string => `prompt ${name}`
const resourceKey = (uri: string): string => `resource ${uri}`

/** The rules without those that speak of prompts and resources. */
export const ofTools = (rules: ToolRules): ToolRules => {
  const isOfTool = (name: string): boolean => !isOfOffer(name)
  return {
    ...rules,
    include: rules.include.filter(isOfTool),
    exclude: rules.exclude.filter(isOfTool),
    override: new Map([...rules.override].filter(([name]) => isOfTool(name))),
  }
}

const isOfOffer = (name: string): boolean => /^(?:prompt|resource) /.test(name)

/**
 * Chosen by the target's own rules, as `prompt NAME` and `resource URI`: what an `exclude` matches is out; an `include`
 * chooses among prompts, or among resources, only where it speaks of them.
 */
export function toOffers(target: string, offers: Offers, rules: ToolRules, unknown: Unknown): OfferSet {
  const { prompts, resources, templates } = offers
  const known = new Set([
    ...prompts.map(({ name }) => promptKey(name)),
    ...resources.map(({ uri }) => resourceKey(uri)),
    ...templates.map(({ uriTemplate }) => resourceKey(uriTemplate)),
  ])
  for (const key of rules.override.keys())
    if (isOfOffer(key) && !known.has(key)) unknown(`tools.override names ${key}, and there is no such thing.`)
  const isChosen = toChoice(rules)
  const told = <T extends Definition>(key: string, definition: T): { readonly exposed?: string; readonly said: T } => {
    const { name, title, description } = rules.override.get(key) ?? {}
    const words = {
      ...(title === undefined ? {} : { title }),
      ...(description === undefined ? {} : { description }),
    }
    const said = { ...definition, ...words, ...(name === undefined ? {} : { name }) }
    return name === undefined ? { said } : { exposed: name, said }
  }
  /** A resource keeps its URI; its name is what access rules and views know it by. */
  const named = <T extends Definition>(
    uri: string,
    definition: T,
  ): { readonly name: string; readonly definition: T } => {
    const { exposed, said } = told(resourceKey(uri), definition)
    const { name } = definition
    return { name: exposed ?? toolName(target, typeof name === 'string' ? name : ''), definition: said }
  }
  const excluded = patternsOf('resource', rules.exclude)
  return {
    ...offers,
    ...(excluded.length === 0 ? {} : { excluded }),
    prompts: prompts
      .filter(({ name }) => isChosen('prompt', name))
      .map((prompt) => {
        const { exposed = toolName(target, prompt.name), said } = told(promptKey(prompt.name), prompt)
        return { name: exposed, own: prompt.name, definition: { ...said, name: exposed } }
      }),
    resources: resources
      .filter(({ uri }) => isChosen('resource', uri))
      .map((resource) => ({ uri: resource.uri, ...named(resource.uri, resource) })),
    templates: templates
      .filter(({ uriTemplate }) => isChosen('resource', uriTemplate))
      .map((one) => ({ uriTemplate: one.uriTemplate, ...named(one.uriTemplate, one) })),
  }
}

function toChoice({ include, exclude }: ToolRules): (kind: 'prompt' | 'resource', name: string) => boolean {
  const among = (patterns: readonly string[], kind: string) => patternsOf(kind, patterns).map(toMatcher)
  const rules = {
    prompt: [among(include, 'prompt'), among(exclude, 'prompt')],
    resource: [among(include, 'resource'), among(exclude, 'resource')],
  }
  return (kind, name) => {
    const [chosen = [], left = []] = rules[kind]
    return (chosen.length === 0 || chosen.some((matches) => matches(name))) && !left.some((matches) => matches(name))
  }
}

/** The patterns that speak of a kind, without its name. */
const patternsOf = (kind: string, patterns: readonly string[]): string[] =>
  patterns.filter((pattern) => pattern.startsWith(`${kind} `)).map((pattern) => pattern.slice(kind.length + 1))

/** The offers of a target, bound to it. */
export interface BoundOffers {
  readonly target: Target
  readonly set: OfferSet
  /** Of targets with the same resource, that with the lowest number has it. */
  readonly priority: number
}

interface Place {
  readonly target: Target
  /** What access rules and views know it by. */
  readonly name: string
}

export interface OfferedPrompt extends Place {
  readonly own: string
  readonly definition: Definition
  readonly completions: boolean
}

export interface OfferedResource extends Place {
  readonly uri: string
  readonly definition: Definition
  readonly subscribe: boolean
}

export interface OfferedTemplate extends Place {
  readonly uriTemplate: string
  readonly definition: Definition
  readonly completions: boolean
  readonly subscribe: boolean
  matches(uri: string): boolean
}

/** Whether the one who asks may have an offer. */
type IsSeen = (offer: Place) => boolean

const anyone: IsSeen = () => true

/**
 * All that the targets of a gateway offer besides tools; immutable. Of offers with the same key, the one who asks has that
 * of the first target, by priority, that it may see: a target that is hidden from it hides nothing of another.
 */
export class Offered {
  /** Some target is an MCP server, whatever it offers just now. */
  readonly isOffered: boolean
  /** Changes exactly when a prompt does. */
  readonly promptsVersion: string
  /** Changes exactly when a resource or a template does. */
  readonly resourcesVersion: string
  readonly #prompts: ByKey<OfferedPrompt>
  readonly #resources: ByKey<OfferedResource>
  readonly #templates: ByKey<OfferedTemplate>
  /** Of the first target first. */
  readonly #matchers: readonly OfferedTemplate[]

  constructor(bound: readonly BoundOffers[]) {
    const byPriority = bound.toSorted((a, b) => a.priority - b.priority)
    this.#matchers = byPriority.flatMap(({ target, set }) => bindTemplates(target, set))
    const prompts = byPriority.flatMap(({ target, set }) =>
      set.prompts.map((prompt) => ({ ...prompt, target, completions: set.completions })),
    )
    const resources = byPriority.flatMap(({ target, set }) =>
      set.resources.map((resource) => ({ ...resource, target, subscribe: set.subscribe })),
    )
    this.isOffered = bound.length > 0
    this.#prompts = byKey(prompts, ({ name }) => name)
    this.#resources = byKey(resources, ({ uri }) => uri)
    this.#templates = byKey(this.#matchers, ({ uriTemplate }) => uriTemplate)
    this.promptsVersion = versionOfAll(this.#prompts)
    this.resourcesVersion = versionOfAll(this.#resources, this.#templates)
  }

  prompts(isSeen: IsSeen = anyone): OfferedPrompt[] {
    return firsts(this.#prompts, isSeen)
  }

  resources(isSeen: IsSeen = anyone): OfferedResource[] {
    return firsts(this.#resources, isSeen)
  }

  templates(isSeen: IsSeen = anyone): OfferedTemplate[] {
    return firsts(this.#templates, isSeen)
  }

  prompt(name: string, isSeen: IsSeen = anyone): OfferedPrompt | undefined {
    return this.#prompts.get(name)?.find(isSeen)
  }

  /** By its URI, or by the first template that it fits. */
  resource(uri: string, isSeen: IsSeen = anyone): OfferedResource | OfferedTemplate | undefined {
    return (
      this.#resources.get(uri)?.find(isSeen) ??
      this.#matchers.find((template) => template.matches(uri) && isSeen(template))
    )
  }

  template(uriTemplate: string, isSeen: IsSeen = anyone): OfferedTemplate | undefined {
    return this.#templates.get(uriTemplate)?.find(isSeen)
  }
}

/** What is excluded comes of no template. */
function bindTemplates(target: Target, set: OfferSet): OfferedTemplate[] {
  const { templates, excluded = [], completions, subscribe } = set
  const isExcluded = excluded.map(toMatcher)
  return templates.map((template) => {
    const fits = toUriMatcher(template.uriTemplate)
    const matches = (uri: string): boolean => fits(uri) && !isExcluded.some((excludes) => excludes(uri))
    return { ...template, target, completions, subscribe, matches }
  })
}

/** In the order of the keys, of each key the first target's first. */
type ByKey<T> = ReadonlyMap<string, readonly T[]>

function byKey<T>(offers: readonly T[], keyOf: (offer: T) => string): ByKey<T> {
  const found = Map.groupBy(offers, keyOf)
  return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

const firsts = <T extends Place>(offers: ByKey<T>, isSeen: IsSeen): T[] =>
  [...offers.values()].flatMap((same) => same.find(isSeen) ?? [])

const versionOfAll = (...all: readonly ByKey<{ readonly definition: Definition }>[]): string =>
  versionOf(
    all.flatMap((offers) =>
      [...offers.values()].flat().map(({ definition }) => Buffer.from(JSON.stringify(definition))),
    ),
  )
