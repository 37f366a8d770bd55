/** A small pet store: every place that an argument can go to, every kind of answer. */
import { json, type Recorded, type Recorder } from './recorder.ts'

const pet = {
  type: 'object',
  required: ['id', 'name'],
  properties: { id: { type: 'integer' }, name: { type: 'string' }, tag: { type: 'string' } },
}
const jsonOf = (schema: object): object => ({ 'application/json': { schema } })
const petId = { name: 'petId', in: 'path', required: true, schema: { type: 'string' } }

export const petstore = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Pet store', version: '1' },
  servers: [{ url: `${origin}/v2` }],
  paths: {
    '/pets': {
      get: {
        operationId: 'listPets',
        summary: 'List pets',
        parameters: [
          { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 100 } },
          { name: 'tags', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
          { name: 'X-Tenant', in: 'header', schema: { type: 'string' } },
        ],
        responses: { 200: { description: 'Pets', content: jsonOf({ type: 'array', items: pet }) } },
      },
      post: {
        operationId: 'addPet',
        summary: 'Add a pet',
        requestBody: {
          required: true,
          content: jsonOf({
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, tag: { type: 'string' } },
            additionalProperties: false,
          }),
        },
        responses: { 201: { description: 'Added', content: jsonOf(pet) } },
      },
    },
    '/pets/{petId}': {
      parameters: [petId],
      get: { operationId: 'getPet', responses: { 200: { description: 'A pet', content: jsonOf(pet) } } },
      delete: { operationId: 'deletePet', responses: { 204: { description: 'Gone' } } },
    },
    '/pets/{petId}/photo': {
      parameters: [petId],
      get: {
        operationId: 'getPhoto',
        responses: { 200: { description: 'A photo', content: { 'image/png': {} } } },
      },
      put: {
        operationId: 'putPhoto',
        requestBody: {
          required: true,
          content: {
            'multipart/form-data': {
              schema: {
                type: 'object',
                required: ['photo'],
                properties: {
                  photo: { contentMediaType: 'image/png' },
                  // as FastAPI and the OpenAPI Initiative's own guide to 3.1 have it
                  scan: { type: 'string', contentMediaType: 'application/octet-stream' },
                  caption: { type: 'string' },
                },
              },
            },
          },
        },
        responses: { 200: { description: 'Kept', content: jsonOf({ type: 'object' }) } },
      },
    },
    '/login': {
      post: {
        operationId: 'login',
        requestBody: {
          required: true,
          content: {
            'application/x-www-form-urlencoded': {
              schema: {
                type: 'object',
                required: ['user'],
                properties: { user: { type: 'string' }, password: { type: 'string' } },
              },
            },
          },
        },
        responses: { 200: { description: 'A token', content: { 'text/plain': { schema: { type: 'string' } } } } },
      },
    },
  },
})

/** Tools of the store under the target name `pets`, in the order that they are listed. */
export const petTools = ['addPet', 'deletePet', 'getPet', 'getPhoto', 'listPets', 'login', 'putPhoto'].map(
  (operation) => `pets___${operation}`,
)

export const rex = { id: 7, name: 'Rex', tag: 'dog' }
export const png = Buffer.from('iVBORw0KGgo=', 'base64')

/** The store itself: `/pets/404` is not there, everything else is. */
export const petAnswer: Recorder['answer'] = (request, response, incoming) => {
  const path = request.url.replace(/\?.*$/, '')
  const route = `${request.method} ${path.replace(/^\/v2/, '').replace(/^\/pets\/[^/]+/, '/pets/*')}`
  if (path === '/v2/pets/404') return json({ message: 'no such pet' }, 404)(request, response, incoming)
  switch (route) {
    case 'GET /pets':
      return json([rex])(request, response, incoming)
    case 'POST /pets':
      return json({ ...rex, ...(JSON.parse(request.body.toString()) as object) }, 201)(request, response, incoming)
    case 'GET /pets/*':
      return json(rex)(request, response, incoming)
    case 'DELETE /pets/*':
      return void response.writeHead(204).end()
    case 'GET /pets/*/photo':
      return void response.writeHead(200, { 'content-type': 'image/png' }).end(png)
    case 'POST /login':
      return void response.writeHead(200, { 'content-type': 'text/plain' }).end('token-1')
    default:
      return json({ kept: true })(request, response, incoming)
  }
}

/** A description of one `GET`, for files that come and go. */
export const oneTool = (origin: string, operationId: string, path = `/${operationId}`): object => ({
  openapi: '3.1.0',
  info: { title: operationId, version: '1' },
  servers: [{ url: origin }],
  paths: { [path]: { get: { operationId, responses: { 200: { description: 'Fine', content: jsonOf({}) } } } } },
})

/** Parts of a multipart body by name, each with its headers and bytes. */
export function partsOf({ headers, body }: Recorded): Record<string, { head: string; bytes: string }> {
  const boundary = /boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1] ?? ''
  const parts = body.toString('latin1').split(`--${boundary}`)
  if (parts.at(-1) !== '--\r\n') throw new Error('The multipart body is not closed.')
  return Object.fromEntries(
    parts.slice(1, -1).map((part) => {
      const [head = '', ...rest] = part.slice(2, -2).split('\r\n\r\n')
      return [/ name="([^"]*)"/.exec(head)?.[1] ?? '', { head, bytes: rest.join('\r\n\r\n') }]
    }),
  )
}
