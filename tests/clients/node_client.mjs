// What the official client for Node gets from a gateway, as one JSON document: node node_client.mjs URL KEY.
// Runs in a folder in which `openai` is installed.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const messages = [{ role: "user", content: "hello" }];

const told = await client.chat.completions.create({ model: "m", messages });

let stream = "";
for await (const chunk of await client.chat.completions.create({ model: "m", messages, stream: true })) {
  stream += chunk.choices[0].delta.content ?? "";
}

const weather = { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } };
const called = await client.chat.completions
  .stream({ model: "m", messages, tools: [{ type: "function", function: weather }] })
  .finalChatCompletion();
const call = called.choices[0].message.tool_calls[0].function;

const embedded = await client.embeddings.create({ model: "m", input: "hello" });

let error = "none";
try {
  await client.chat.completions.create({ model: "nobody", messages });
} catch (caught) {
  if (!(caught instanceof OpenAI.NotFoundError) || !caught.requestID) throw caught;
  error = caught.code;
}

let left = "";
const slow = [{ role: "user", content: "slow" }];
const leaving = await client.chat.completions.create({ model: "m", messages: slow, stream: true });
for await (const chunk of leaving) {
  left = chunk.choices[0].delta.content;
  leaving.controller.abort();
  break;
}

console.log(
  JSON.stringify({
    chat: told.choices[0].message.content,
    counted: [told.usage.prompt_tokens, told.usage.completion_tokens],
    stream,
    tool: [call.name, JSON.parse(call.arguments)],
    embedding: embedded.data[0].embedding,
    error,
    left,
  }),
);
