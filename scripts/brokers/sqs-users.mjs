// Makes the users of a moto that asks for credentials, and prints them as lines of an env file.
const [endpoint] = process.argv.slice(2);

async function iam(action, fields) {
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-www-form-urlencoded",
      // moto finds the service by it, and does not check the first calls.
      Authorization: "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=any",
    },
    body: new URLSearchParams({ Action: action, Version: "2010-05-08", ...fields }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${action}: ${answer.status} ${text}`);
  return text;
}

async function user(name) {
  await iam("CreateUser", { UserName: name });
  const key = await iam("CreateAccessKey", { UserName: name });
  return ["AccessKeyId", "SecretAccessKey"].map((part) => new RegExp(`<${part}>([^<]+)`).exec(key)[1]);
}

const reader = await user("reader");
const PolicyDocument = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: "sqs:*", Resource: "*" }],
});
await iam("PutUserPolicy", { UserName: "reader", PolicyName: "queues", PolicyDocument });
const nobody = await user("nobody");
console.log(`INLET_TEST_SQS_AUTH=${endpoint}`);
console.log(`INLET_TEST_SQS_READER=${reader.join(":")}`);
console.log(`INLET_TEST_SQS_NOBODY=${nobody.join(":")}`);
