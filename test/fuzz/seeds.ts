/** Valid descriptions of three versions, with something of everything, for the fuzzer to spoil. */

export type Tree = null | boolean | number | string | Tree[] | { [key: string]: Tree }

const ref = (name: string): Tree => ({ $ref: `#/components/schemas/${name}` })
const json = (schema: Tree): Tree => ({ description: 'd', content: { 'application/json': { schema } } })

const modern: Tree = {
  openapi: '3.1.1',
  info: { title: 'Library', version: '1' },
  servers: [{ url: 'https://{region}.example.test/v1', variables: { region: { default: 'eu', enum: ['eu', 'us'] } } }],
  paths: {
    '/books/{isbn}': {
      parameters: [{ name: 'isbn', in: 'path', required: true, schema: { type: 'string', pattern: '^[0-9-]+$' } }],
      get: {
        operationId: 'getBook',
        summary: 'Find',
        parameters: [{ $ref: '#/components/parameters/Fields' }],
        responses: { 200: json(ref('Book')), 404: json(ref('Problem')) },
      },
      put: { operationId: 'putBook', requestBody: json(ref('Book')), responses: { 200: json(ref('Book')) } },
      delete: { responses: { 204: { description: 'gone' } } },
    },
    '/books': {
      get: {
        parameters: [
          {
            name: 'filter',
            in: 'query',
            style: 'deepObject',
            explode: true,
            schema: { type: 'object', properties: { 'year[gte]': { type: 'integer', exclusiveMinimum: 0 } } },
          },
          { name: 'X-Trace', in: 'header', schema: { type: ['string', 'null'] } },
        ],
        responses: { 200: json({ type: 'array', items: ref('Book') }) },
      },
      post: {
        operationId: 'addBook',
        requestBody: {
          required: true,
          content: {
            'multipart/form-data': {
              schema: {
                type: 'object',
                required: ['cover'],
                properties: { cover: { contentMediaType: 'image/png' }, meta: ref('Book') },
              },
              encoding: { meta: { contentType: 'application/json' } },
            },
          },
        },
        responses: {
          '2XX': json({
            allOf: [ref('Book'), { type: 'object', properties: { made: { type: 'string', format: 'date-time' } } }],
          }),
        },
      },
    },
  },
  components: {
    parameters: {
      Fields: { name: 'fields[]', in: 'query', schema: { type: 'array', items: { type: 'string', enum: ['a', 'b'] } } },
    },
    schemas: {
      Book: {
        type: 'object',
        required: ['title', 'id'],
        properties: {
          id: { type: 'string', readOnly: true },
          title: { type: 'string', maxLength: 99 },
          author: ref('Person'),
          sequels: { type: 'array', items: ref('Book') },
          '@type': { const: 'book' },
        },
        additionalProperties: false,
      },
      Person: {
        type: 'object',
        properties: {
          name: { type: 'string' },
          wrote: { type: 'array', items: ref('Book') },
          contact: { oneOf: [ref('Mail'), ref('Phone')] },
        },
      },
      Mail: { type: 'object', properties: { mail: { type: 'string', format: 'email' } }, required: ['mail'] },
      Phone: {
        type: 'object',
        properties: { phone: { type: 'string', default: '0' } },
        dependentSchemas: { phone: { required: ['phone'] } },
      },
      Problem: {
        anyOf: [
          { type: 'string' },
          { type: 'object', patternProperties: { '^x-': { type: 'integer', multipleOf: 2 } } },
        ],
        not: { enum: [null] },
      },
      Pair: { type: 'array', prefixItems: [{ type: 'integer' }, ref('Pair')], items: false },
    },
  },
}

const older: Tree = {
  openapi: '3.0.3',
  info: { title: 'Shop', version: '1' },
  servers: [{ url: '/api' }],
  paths: {
    '/carts/{cart}/items/{item}': {
      get: {
        operationId: 'item',
        parameters: [
          { name: 'cart', in: 'path', required: true, schema: { type: 'integer' } },
          {
            name: 'item',
            in: 'path',
            required: true,
            style: 'matrix',
            schema: { type: 'array', items: { type: 'string' } },
          },
          { name: 'item', in: 'query', schema: { type: 'boolean', nullable: true } },
        ],
        responses: { 200: json(ref('Item')) },
      },
      patch: {
        operationId: 'item',
        requestBody: json({ nullable: true, allOf: [ref('Item')] }),
        responses: { default: json(ref('Item')) },
      },
    },
    '/upload': {
      post: {
        requestBody: { content: { 'image/*': { schema: { type: 'string', format: 'binary' } } } },
        responses: { 201: { description: 'd' } },
      },
    },
    '/login': {
      post: {
        requestBody: {
          content: {
            'application/x-www-form-urlencoded': {
              schema: ref('Login'),
              encoding: { scopes: { style: 'pipeDelimited' } },
            },
          },
        },
        responses: {},
      },
    },
  },
  components: {
    schemas: {
      Item: {
        type: 'object',
        discriminator: { propertyName: 'kind' },
        required: ['kind'],
        properties: {
          kind: { type: 'string', enum: ['a', 'b'] },
          price: { type: 'number', minimum: 0, exclusiveMinimum: true },
          parent: ref('Item'),
        },
      },
      Login: {
        allOf: [
          {
            type: 'object',
            properties: { user: { type: 'string' }, password: { type: 'string', writeOnly: true } },
            required: ['user'],
          },
          { required: ['password'] },
          { properties: { scopes: { type: 'array', items: { type: 'string' } } } },
        ],
      },
    },
  },
}

const swagger: Tree = {
  swagger: '2.0',
  info: { title: 'Zoo', version: '1' },
  host: 'zoo.example.test',
  basePath: '/v2',
  schemes: ['https'],
  consumes: ['application/json'],
  produces: ['application/json'],
  paths: {
    '/animals': {
      get: {
        operationId: 'list',
        parameters: [
          { name: 'kinds', in: 'query', type: 'array', items: { type: 'string' }, collectionFormat: 'multi' },
          { $ref: '#/parameters/Limit' },
        ],
        responses: {
          200: {
            description: 'd',
            schema: {
              type: 'object',
              properties: { animals: { type: 'array', items: { $ref: '#/definitions/Animal' } } },
            },
          },
        },
      },
      post: {
        parameters: [{ name: 'animal', in: 'body', required: true, schema: { $ref: '#/definitions/Animal' } }],
        responses: { 201: { description: 'd' } },
      },
    },
    '/animals/{id}/photo': {
      post: {
        consumes: ['multipart/form-data'],
        parameters: [
          { name: 'id', in: 'path', required: true, type: 'string' },
          { name: 'photo', in: 'formData', type: 'file', required: true },
          { name: 'note', in: 'formData', type: 'string' },
        ],
        responses: {},
      },
      get: {
        produces: ['image/png'],
        parameters: [{ name: 'id', in: 'path', required: true, type: 'string' }],
        responses: { 200: { description: 'd', schema: { type: 'file' } } },
      },
    },
  },
  parameters: { Limit: { name: 'limit', in: 'query', type: 'integer', minimum: 1, maximum: 100, default: 10 } },
  definitions: {
    Animal: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        mother: { $ref: '#/definitions/Animal' },
        tags: { type: 'object', additionalProperties: { type: 'string' } },
      },
    },
  },
}

export const seedDocuments: readonly Tree[] = [modern, older, swagger]
