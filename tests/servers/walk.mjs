// Walks through one server with an official TypeScript client, and prints what it saw as one line of JSON.
//
//     node walk.mjs PACKAGES SDK MODE http URL
//     node walk.mjs PACKAGES SDK MODE stdio COMMAND [ARGUMENT...]
//
// PACKAGES is the folder with `node_modules`; SDK is `v1` for @modelcontextprotocol/sdk or `v2` for
// @modelcontextprotocol/client; MODE is `legacy`, or a date such as `2026-07-28` (v2 only). It sees what `walk.py` sees.

import { createRequire } from 'node:module';

const TIMEOUT = 30_000;
const [packages, sdk, mode, kind, first, ...rest] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const info = { name: 'walk', version: '1' };
const capabilities = { elicitation: {} };
const questions = [];
const answer = ({ params }) => {
    questions.push(params);
    return { action: 'accept', content: { name: 'Ada' } };
};

function connected() {
    const launch = { command: first, args: rest, env: process.env };
    if (sdk === 'v1') {
        const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
        const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
        const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
        const { ElicitRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
        const client = new Client(info, { capabilities });
        client.setRequestHandler(ElicitRequestSchema, answer);
        const transport =
            kind === 'http' ? new StreamableHTTPClientTransport(new URL(first)) : new StdioClientTransport(launch);
        return [client, transport, (params, options) => client.callTool(params, undefined, options)];
    }
    const { Client, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');
    const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');
    const versionNegotiation = { mode: mode === 'legacy' ? mode : { pin: mode } };
    const client = new Client(info, { capabilities, versionNegotiation });
    client.setRequestHandler('elicitation/create', answer);
    const transport =
        kind === 'http' ? new StreamableHTTPClientTransport(new URL(first)) : new StdioClientTransport(launch);
    return [client, transport, (params, options) => client.callTool(params, options)];
}

/** A result, or an error, in the protocol's own words. */
async function seen(work) {
    try {
        return await work;
    } catch (error) {
        if (error.code === undefined) throw error;
        return { error: { code: error.code, message: error.message, data: error.data } };
    }
}

async function walk(client, tool) {
    const options = { timeout: TIMEOUT };
    const call = (name, args, more) => seen(tool({ name, arguments: args }, { ...options, ...more }));
    const steps = [];
    const onprogress = ({ progress, total, message }) => steps.push([progress, total, message]);
    const reference = { type: 'ref/prompt', name: 'greet' };
    const saw = {
        version: client.getNegotiatedProtocolVersion?.(),
        tools: await seen(client.listTools()),
        structured: await call('echo', { n: 1, deep: { text: 'é', list: [1.5, null, true] } }),
        failed: await call('fail', { message: 'the shelf is empty' }),
        refused: await call('rpc_error', {}),
        unknown: await call('no_such_tool', {}),
        reported: await call('progress', { n: 3, ms: 50 }, { onprogress }),
        steps,
        prompts: await seen(client.listPrompts()),
        prompt: await seen(client.getPrompt({ name: 'greet', arguments: { who: 'Ada' } })),
        resources: await seen(client.listResources()),
        templates: await seen(client.listResourceTemplates()),
        resource: await seen(client.readResource({ uri: 'fixture://readme' })),
        item: await seen(client.readResource({ uri: 'fixture://item/42' })),
        missing: await seen(client.readResource({ uri: 'fixture://missing' })),
        completed: await seen(client.complete({ ref: reference, argument: { name: 'who', value: 'A' } })),
        asked: await call('ask', { message: 'Your name?' }),
        questions
    };
    const stop = new AbortController();
    const hanging = tool({ name: 'hang', arguments: {} }, { ...options, signal: stop.signal });
    setTimeout(() => stop.abort(), 300);
    saw.given_up = await hanging.then(() => false, () => true);
    let told = [];
    for (let turn = 0; turn < 200 && told.length === 0; turn++) {
        told = (await call('cancelled', {})).structuredContent.ids;
        if (told.length === 0) await new Promise(resolve => setTimeout(resolve, 20));
    }
    saw.told = told.length;
    return saw;
}

setTimeout(() => {
    throw new Error('it takes too long');
}, TIMEOUT).unref();
const [client, transport, tool] = connected();
await client.connect(transport);
const saw = await walk(client, tool);
await client.close();
console.log(JSON.stringify(saw));
