/** The catalogue: found by name, listed in a stable order, page by page, plain or compressed. */
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bindTools, Catalogue } from '../../../src/catalogue/catalogue.ts'
import { chunks, toListing } from '../../../src/catalogue/listing.ts'
import { toTools } from '../../../src/catalogue/tools.ts'
import type { Operation, Target, Tool } from '../../../src/core/model.ts'

const targetOf = (name: string): Target => ({
  name,
  kind: 'openapi',
  origin: `https://${name}.test`,
  basePath: '',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
})

const operation = (id: string): Operation => ({
  id,
  label: `GET /${id}`,
  description: `Does ${id}, é 中.`,
  input: { type: 'object' },
  effect: 'read',
  idempotent: true,
  binding: {},
})

const toolsOf = (target: string, ...ids: string[]): Tool[] =>
  bindTools(targetOf(target), toTools(target, ids.map(operation), { include: [], exclude: [], override: new Map() }))

const facts = { modern: '"resultType":"complete"' }
const letters = toolsOf('shop', 'e', 'b', 'd', 'a', 'c')

interface Result {
  readonly jsonrpc: string
  readonly result: {
    readonly tools: readonly { readonly name: string }[]
    readonly nextCursor?: string
    readonly resultType?: string
  }
  readonly id: unknown
}

const read = (plain: Buffer, id = '1}'): Result => JSON.parse(plain.toString() + id) as Result

const names = (catalogue: Catalogue, cursor?: string): string[] => {
  const page = catalogue.page(cursor)
  return page === undefined ? ['refused'] : read(page.legacy.plain).result.tools.map(({ name }) => name)
}

const next = (catalogue: Catalogue, cursor?: string): string | undefined => {
  const page = catalogue.page(cursor)
  return page === undefined ? undefined : read(page.modern.plain).result.nextCursor
}

describe('finding', () => {
  test('is by the exact name', () => {
    const catalogue = new Catalogue(letters, facts)
    expect(catalogue.find('shop___a')?.operation.id).toBe('a')
    for (const name of [
      'shop___A',
      'shop___',
      '',
      '__proto__',
      'constructor',
      'toString',
      'shop___a ',
      'x'.repeat(10_240),
    ])
      expect(catalogue.find(name)).toBeUndefined()
  })

  test('of two tools of one name the first is kept, in the list too', () => {
    const twice = new Catalogue([...toolsOf('shop', 'a'), ...toolsOf('shop', 'a')], facts)
    expect(twice.tools).toHaveLength(1)
    expect(names(twice)).toEqual(['shop___a'])
  })
})

describe('the version', () => {
  test('is of the tools, not of the order they came in', () => {
    expect(new Catalogue(letters.toReversed(), facts).version).toBe(new Catalogue(letters, facts).version)
  })

  test('changes with a tool', () => {
    expect(new Catalogue(toolsOf('shop', 'a'), facts).version).not.toBe(
      new Catalogue(toolsOf('shop', 'b'), facts).version,
    )
  })
})

describe('the list', () => {
  test('is one page in the order of names, whatever order the tools came in', () => {
    const order = ['a', 'b', 'c', 'd', 'e'].map((id) => `shop___${id}`)
    expect(names(new Catalogue(letters, facts))).toEqual(order)
    expect(names(new Catalogue(letters.toReversed(), facts))).toEqual(order)
    expect(next(new Catalogue(letters, facts))).toBeUndefined()
  })

  test('is JSON-RPC of both eras', () => {
    const page = new Catalogue(letters, facts).page(undefined)
    expect(read(page?.modern.plain ?? Buffer.alloc(0))).toMatchObject({
      jsonrpc: '2.0',
      result: { resultType: 'complete' },
      id: 1,
    })
    expect(read(page?.legacy.plain ?? Buffer.alloc(0)).result).not.toHaveProperty('resultType')
  })

  test('of nothing is an empty page', () => {
    expect(names(new Catalogue([], facts))).toEqual([])
    expect(names(new Catalogue([], facts, 2))).toEqual([])
  })

  test.each([1, 2, 3, 5, 7])('in pages of %i holds every tool once, in order', (size) => {
    const catalogue = new Catalogue(letters, facts, size)
    const seen: string[] = []
    let cursor: string | undefined
    let pages = 0
    do {
      const page = names(catalogue, cursor)
      expect(page.length).toBeLessThanOrEqual(size)
      seen.push(...page)
      cursor = next(catalogue, cursor)
      pages++
    } while (cursor !== undefined)
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e'].map((id) => `shop___${id}`))
    expect(pages).toBe(Math.ceil(5 / size))
  })

  test('a page is made once', () => {
    const catalogue = new Catalogue(letters, facts, 2)
    expect(catalogue.page(undefined)).toBe(catalogue.page(''))
    expect(catalogue.page(next(catalogue))).toBe(catalogue.page(next(catalogue)))
  })
})

describe('cursors', () => {
  const encode = (name: string): string => Buffer.from(name).toString('base64url')

  test('survive a tool that comes or goes elsewhere', () => {
    const cursor = next(new Catalogue(letters, facts, 2)) ?? ''
    expect(
      names(
        new Catalogue(toolsOf('shop', 'a', 'a2', 'b', 'c', 'd'), facts, 3),
        next(new Catalogue(toolsOf('shop', 'a', 'a2', 'b', 'c'), facts, 3)),
      ),
    ).toEqual(['shop___c', 'shop___d'])
    expect(names(new Catalogue(letters, facts, 2), cursor)).toEqual(['shop___c', 'shop___d'])
  })

  test.each<[string, string]>([
    ['random text', 'abc'],
    ['a number', '2'],
    ['the name of no tool', encode('shop___zz')],
    ['a name between two', encode('shop___bb')],
    ['a plain name', 'shop___b'],
    ['the last tool, behind which there is nothing', encode('shop___e')],
    ['one with something appended', `${encode('shop___b')}!!`],
    ['one in another alphabet', `${encode('shop___b')}==`],
    ['members of the prototype', encode('__proto__')],
    ['far too long a text', 'A'.repeat(100_000)],
  ])('%s is refused (J24)', (_, cursor) => {
    expect(new Catalogue(letters, facts, 2).page(cursor)).toBeUndefined()
  })

  test('where there is one page there is no cursor, and none is taken', () => {
    const catalogue = new Catalogue(letters, facts)
    for (const { name } of letters) expect(catalogue.page(encode(name))).toBeUndefined()
  })
})

describe('compressed', () => {
  const ids = ['1}', '"abc"}', '0}', `"${'é'.repeat(100)}"}`, `"${'x'.repeat(60_000)}"}`, 'null}', '']

  test.each(ids.map((id) => [id.slice(0, 12), id]))('an answer to %j decodes to exactly the plain bytes', (_, id) => {
    for (const page of [new Catalogue(letters, facts).page(undefined), new Catalogue([], facts).page(undefined)]) {
      for (const listing of [page?.modern, page?.legacy]) {
        if (listing === undefined) throw new Error('a page is missing')
        const plain = Buffer.concat([...chunks(listing, id, false)])
        expect(plain.toString()).toBe(listing.plain.toString() + id)
        expect(gunzipSync(Buffer.concat([...chunks(listing, id, true)])).equals(plain)).toBe(true)
      }
    }
  })

  test.each([0, 1, 65_535, 65_536, 1_000_000])('%i bytes before the id', (size) => {
    const plain = Buffer.alloc(size, 'toolgate ')
    expect(gunzipSync(Buffer.concat([...chunks(toListing(plain), '"tail"}', true)])).toString()).toBe(
      `${plain.toString()}"tail"}`,
    )
  })

  test('one listing serves many ids, and stays as it was', () => {
    const listing = toListing(Buffer.from('{"id":'))
    const first = Buffer.concat([...chunks(listing, '1}', true)])
    expect(gunzipSync(Buffer.concat([...chunks(listing, '22}', true)])).toString()).toBe('{"id":22}')
    expect(Buffer.concat([...chunks(listing, '1}', true)]).equals(first)).toBe(true)
  })

  test('it is smaller than the plain one', () => {
    const listing = new Catalogue(toolsOf('shop', ...Array.from({ length: 200 }, (_, i) => `op${i}`)), facts).page(
      undefined,
    )?.modern
    expect(listing?.compressed.head.byteLength).toBeLessThan((listing?.plain.byteLength ?? 0) / 3)
  })
})
