/** What of an answer is passed on: selections, cuts, and refusals in short. */
import { describe, expect, it } from 'vitest'
import type { InboundResponse, Json, OperationRef, Outcome, ResponseRule } from '../../../src/core/model.ts'
import { interpretAnswer } from '../../../src/targets/openapi/answer.ts'
import { boundedContent, charsIn } from '../../../src/targets/openapi/cut.ts'
import { problemLines } from '../../../src/targets/openapi/problem.ts'
import { selectFault, selectFrom } from '../../../src/targets/openapi/select.ts'

const pets = {
  total: 2,
  items: [
    { id: 1, name: 'Rex', secret: 'x' },
    { id: 2, name: 'Tom', secret: 'y' },
  ],
  next: null,
}

describe('a selection', () => {
  it.each<[what: string, select: string | string[], given: Json, kept: Json]>([
    ['a JMESPath', 'items[].name', pets, ['Rex', 'Tom']],
    ['a JMESPath that makes an object', 'items[].{n: name}', pets, [{ n: 'Rex' }, { n: 'Tom' }]],
    ['a JMESPath that finds nothing', 'nothing', pets, null],
    ['pointers', ['/total', '/items/name'], pets, { total: 2, items: [{ name: 'Rex' }, { name: 'Tom' }] }],
    ['a pointer to one item', ['/items/1'], pets, { items: [pets.items[1] ?? null] }],
    ['pointers into one item', ['/items/0/id'], pets, { items: [{ id: 1 }] }],
    ['the whole', [''], pets, pets],
    ['an escaped pointer', ['/a~1b', '/c~0d'], { 'a/b': 1, 'c~d': 2, e: 3 }, { 'a/b': 1, 'c~d': 2 }],
    ['pointers into a list at the root', ['/id'], [{ id: 1, a: 2 }], [{ id: 1 }]],
    ['a pointer to nothing', ['/nothing'], pets, {}],
  ])('keeps what %s names', (_what, select, given, kept) => {
    expect(selectFault(select)).toBeUndefined()
    expect(selectFrom(given, select)).toEqual(kept)
  })

  it.each([['items[?'], ['.a'], ['foo('], [['items']]])('is refused when it is none: %s', (select) => {
    expect(selectFault(select)).toBeTruthy()
  })
})

const answerOf = (body: string, rule: ResponseRule, status = 200, type = 'application/json', cut = false): Outcome => {
  const operation: OperationRef = {
    id: 'x',
    label: 'GET /x',
    effect: 'read',
    idempotent: true,
    binding: {},
    response: rule,
  }
  const response: InboundResponse = { status, headers: new Map([['content-type', type]]), body: Buffer.from(body), cut }
  return interpretAnswer(operation, response)
}
const texts = (outcome: Outcome): string[] =>
  outcome.content.map((block) => (block.type === 'text' ? block.text : block.type))

describe('an answer with a rule', () => {
  it('is what the selection leaves', () => {
    expect(texts(answerOf(JSON.stringify(pets), { select: 'items[].id' }))).toEqual(['[1,2]'])
  })

  it.each([
    ['what is not JSON', '{"broken', false],
    ['what was cut', '{"items":[', true],
    ['what nests too deep', `${'['.repeat(500)}${']'.repeat(500)}`, false],
    ['what is too long', JSON.stringify({ items: 'x'.repeat(2_000_000) }), false],
  ])('of which it cannot be told is not passed on: %s', (_what, body, cut) => {
    const outcome = answerOf(body, { select: 'items' }, 200, 'application/json', cut)
    expect(outcome.isError).toBe(true)
    expect(texts(outcome).join('')).not.toContain(body.slice(0, 20))
  })

  it('keeps a list within its bytes as JSON, cut between items and said so', () => {
    const list = Array.from({ length: 100 }, (_, id) => ({ id, text: 'a,]"\\' }))
    const [json = '', note = ''] = texts(answerOf(JSON.stringify(list), { maxBytes: 500 }))
    const kept = JSON.parse(json) as object[]
    expect(kept).toEqual(list.slice(0, kept.length))
    expect(kept.length).toBeGreaterThan(5)
    expect(Buffer.byteLength(json)).toBeLessThanOrEqual(500)
    expect(note).toContain(`first ${kept.length} items`)
  })

  it('of a list that the target sent too much of still ends between items', () => {
    const [json = ''] = texts(answerOf('[{"a":1},{"a":2},{"a"', {}, 200, 'application/json', true))
    expect(JSON.parse(json)).toEqual([{ a: 1 }, { a: 2 }])
  })

  it('is bounded in a refusal, too', () => {
    expect(
      Buffer.byteLength(texts(answerOf('x'.repeat(10_000), { maxBytes: 300 }, 500, 'text/plain')).join('')),
    ).toBeLessThan(500)
  })
})

describe('a cut', () => {
  it.each<[text: string, chars: number, out: string[]]>([
    ['[1,2]', 5, ['[1,2]']],
    ['[[1,2],[3]]', 9, ['[[1,2]]', 'note']],
    ['["a,b","c"]', 8, ['["a,b"]', 'note']],
    ['["\\",",2]', 7, ['["\\","]', 'note']],
    ['  [1,2,3]', 6, ['  [1]', 'note']],
    ['["long"]', 4, ['cut']],
    ['{"a":[1,2,3]}', 8, ['cut']],
  ])('of %s at %d', (text, chars, out) => {
    const blocks = boundedContent(text, false, chars, true).map((block) => (block.type === 'text' ? block.text : ''))
    expect(blocks).toHaveLength(out.length)
    if (out[0] === 'cut') expect(blocks[0]).toContain('was cut here')
    else expect(blocks[0]).toBe(out[0])
  })

  it('counts bytes, not characters, and never halves one', () => {
    expect(charsIn('äöü', 4)).toBe(2)
    expect(charsIn('äöü', 5)).toBe(2)
    expect(charsIn('äöü', 6)).toBe(3)
    expect(charsIn('a\u{1f600}', 4)).toBe(1)
  })
})

describe('a refusal in short', () => {
  it.each<[what: string, body: Json, lines: string]>([
    [
      'RFC 9457',
      { type: 'about:blank', title: 'Not enough credit', detail: 'Your balance is 30.' },
      'Not enough credit: Your balance is 30.',
    ],
    [
      'RFC 9457 with a list',
      { title: 'Invalid', errors: [{ detail: 'must be positive', pointer: '#/age' }] },
      'Invalid\n- #/age: must be positive',
    ],
    [
      'errors by field',
      { title: 'One or more validation errors occurred.', errors: { Name: ['Too short.', 'No digits.'] } },
      'One or more validation errors occurred.\n- Name: Too short. No digits.',
    ],
    [
      'JSON:API',
      { errors: [{ status: '422', title: 'Invalid', detail: 'Too long', source: { pointer: '/data/title' } }] },
      '- /data/title: Too long',
    ],
    [
      'a list under detail',
      { detail: [{ loc: ['body', 'age'], msg: 'field required', type: 'missing' }] },
      '- body.age: field required',
    ],
    ['an error object', { error: { code: 400, message: 'Bad thing', status: 'INVALID' } }, 'Bad thing'],
    ['RFC 6749', { error: 'invalid_grant', error_description: 'expired' }, 'invalid_grant: expired'],
    [
      'a message with fields',
      { message: 'Validation Failed', errors: [{ resource: 'Issue', field: 'title', code: 'missing_field' }] },
      'Validation Failed\n- title: missing_field',
    ],
    ['texts', { errors: ['a', 'b'] }, '- a\n- b'],
    ['nothing that names a fault', { data: 1 }, ''],
    ['a list', [1], ''],
  ])('reads %s', (_what, body, lines) => {
    expect(problemLines(JSON.stringify(body))).toBe(lines)
  })

  it('comes before the body in the result', () => {
    const [text = ''] = texts(answerOf('{"title":"T","detail":"D"}', {}, 422, 'application/problem+json'))
    expect(text).toBe('The target answered 422 Unprocessable Entity.\n\nT: D\n\n{"title":"T","detail":"D"}')
  })

  it('is bounded, whatever the body holds', () => {
    const many = {
      errors: Array.from({ length: 1_000 }, () => ({ detail: 'x'.repeat(5_000), field: 'y'.repeat(5_000) })),
    }
    expect(problemLines(JSON.stringify(many)).length).toBeLessThan(20_000)
    expect(problemLines('['.repeat(10_000))).toBe('')
  })
})
